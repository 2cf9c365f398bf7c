// A trained network, and all that it needs but a JavaScript engine: a browser, Node, Deno, Bun.
//
//   import { predict, verify } from "./model.mjs";
//   predict([{ column: 1.5 }]);  // rows by column name; null is a missing value
//   verify();                    // the rows it was tried on that come out differently here: []

const MODEL = JSON.parse("{}");

const MISSING_WORDS = new Set(["", "nan", "na", "n/a", "null", "none", "?"]);

const sigmoid = (z) => {
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const e = Math.exp(z);
  return e / (1 + e);
};

// The upper tail of the normal distribution over its density, as a quotient of polynomials in t.
const TAIL = [];

const gelu = (z) => {
  const t = Math.min(Math.abs(z), 39);
  let over = 0;
  let under = 0;
  for (const [a, b] of TAIL) {
    over = over * t + a;
    under = under * t + b;
  }
  const below = t * (over / under) * Math.exp((-t * t) / 2);
  return Number.isNaN(z) ? z : Math.max(z, 0) - below;
};

const ACTIVATIONS = {
  identity: (z) => z,
  sigmoid,
  tanh: Math.tanh,
  relu: (z) => Math.max(z, 0),
  leaky_relu: (z) => Math.max(z, z / 100),
  elu: (z) => (z > 0 ? z : Math.expm1(z)),
  softplus: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))),
  silu: (z) => z * sigmoid(z),
  gelu,
};

const largestOf = (numbers) => numbers.reduce((a, b) => Math.max(a, b));
const sumOf = (numbers) => numbers.reduce((a, b) => a + b, 0);

const softmax = (z) => {
  const largest = largestOf(z);
  const powers = z.map((each) => Math.exp(each - largest));
  const total = sumOf(powers);
  return powers.map((each) => each / total);
};

const numbersOf = (text) => {
  const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const size = MODEL.dtype === "float32" ? 4 : 8;
  const read = size === 4 ? "getFloat32" : "getFloat64";
  return Float64Array.from({ length: bytes.length / size }, (_, i) => view[read](i * size, true));
};

const LAYERS = MODEL.layers.map(({ W, b, activation }) => ({ W: numbersOf(W), b: numbersOf(b), activation }));

const isMissing = (value) => value === null || Number.isNaN(value);

const number = (value, column) => {
  const given = isMissing(value) ? column.missing : value;
  if (typeof given !== "number") throw new TypeError("it is no number");
  const encoded = (given - column.offset) / column.scale;
  if (!Number.isFinite(encoded)) throw new TypeError("the number is not finite");
  return [encoded];
};

const TRUTH = new Map([
  ...["true", "yes", "t", "y", "on"].map((word) => [word, true]),
  ...["false", "no", "f", "n", "off"].map((word) => [word, false]),
]);

const boolean = (said, column) => {
  let value = said;
  if (typeof said === "string") {
    const word = said.trim().toLowerCase();
    value = MISSING_WORDS.has(word) ? null : (TRUTH.get(word) ?? said);
  }
  if (value !== null && typeof value !== "boolean") throw new TypeError("it is neither true nor false");
  return [Number(value === null ? column.missing : value)];
};

const slotOf = (value, column) => {
  if (isMissing(value)) return column.missing;
  if (!["string", "number", "boolean"].includes(typeof value)) throw new TypeError("it is no text");
  const text = String(value);
  const spellings = typeof value === "number" && Number.isInteger(value) ? [text, text + ".0"] : [text, text.trim()];
  for (const spelling of spellings) {
    if (Object.hasOwn(column.slots, spelling)) return column.slots[spelling];
    if (typeof value === "string" && MISSING_WORDS.has(spelling.toLowerCase())) return column.missing;
  }
  if (typeof value === "boolean") throw new TypeError("it is no text");
  return column.unknown;
};

const isAbsent = (value, column) => {
  if (isMissing(value)) return true;
  if (typeof value !== "string") return false;
  const words = [value, value.trim()];
  const known = words.some((word) => Object.hasOwn(column.slots ?? {}, word));
  return !known && words.some((word) => MISSING_WORDS.has(word.toLowerCase()));
};

const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?(Z| UTC|[+-]\d\d:?\d\d)?)?$/i;
const CLOCK = /^ (\d{1,2}):(\d\d)(?::(\d\d(?:\.\d+)?))?( [AP]M)?$/i;
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const PARTS = {
  Y: "(?<Y>\\d{4})",
  y: "(?<y>\\d{2})",
  m: "(?<m>\\d{1,2})",
  d: "(?<d>\\d{1,2})",
  b: "(?<b>[a-z]{3})",
  B: "(?<b>[a-z]{3,9})",
};

// Since 1970, of a date that there is.
const secondsAt = (year, month, day, hour, minute, second, offset) => {
  const moment = new Date(0);
  moment.setUTCFullYear(year, month - 1, day);
  const isDate = moment.getUTCMonth() === month - 1 && moment.getUTCDate() === day;
  if (!isDate || hour > 23 || minute > 59 || second >= 60) throw new TypeError("there is no such date");
  return moment.getTime() / 1000 + hour * 3600 + minute * 60 + second - offset;
};

const ofIso = (found) => {
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map((part) => Number(part ?? 0));
  const digits = /\d/.test(found[7] ?? "") ? found[7].replace(/\D/g, "") : "0000";
  const ahead = Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2)) * 60;
  return secondsAt(year, month, day, hour, minute, second, found[7]?.[0] === "-" ? -ahead : ahead);
};

// In the format of the dataset, as %d.%m.%Y, perhaps with a time behind it.
const ofFormat = (text, format) => {
  const pattern = format.replace(/[.]/g, "\\.").replace(/%(.)/g, (_, part) => PARTS[part]);
  const found = new RegExp(`^${pattern}(?<rest>.*)$`, "i").exec(text)?.groups;
  const clock = found?.rest ? CLOCK.exec(found.rest) : [];
  const month = found?.b ? MONTHS.indexOf(found.b.slice(0, 3).toLowerCase()) + 1 : Number(found?.m);
  if (!found || !clock) throw new TypeError(`it is no date of ISO 8601, nor as ${format}`);
  const half = clock[4]?.trim().toUpperCase();
  const hour = half ? (Number(clock[1]) % 12) + (half === "PM" ? 12 : 0) : Number(clock[1] ?? 0);
  const year = found.Y ? Number(found.Y) : Number(found.y) + (Number(found.y) < 69 ? 2000 : 1900);
  return secondsAt(year, month, Number(found.d), hour, Number(clock[2] ?? 0), Number(clock[3] ?? 0), 0);
};

// Since 1970, of a Date, or of text in ISO 8601 or as the dataset wrote it; what has no offset is UTC.
const secondsOf = (value, format) => {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.getTime() / 1000;
  const text = typeof value === "string" ? value.trim() : "";
  const found = ISO.exec(text);
  if (found) return ofIso(found);
  if (format === "iso" || !text) throw new TypeError("it is no date of ISO 8601");
  return ofFormat(text, format);
};

const date = (value, column) => {
  const t = isAbsent(value, column) ? null : secondsOf(value, column.date_format);
  const encoded = [((t === null ? column.missing : t) - column.offset) / column.scale];
  for (const [length, shift] of column.cycles) {
    const angle = t === null ? 0 : 2 * Math.PI * ((t - shift) / length - Math.floor((t - shift) / length));
    encoded.push(...(t === null ? [0, 0] : [Math.sin(angle), Math.cos(angle)]));
  }
  return encoded;
};

const category = (value, column) => {
  const encoded = new Array(column.own).fill(0);
  const slot = slotOf(value, column);
  if (slot !== null) encoded[slot] = 1;
  return encoded;
};

const ENCODERS = { number, boolean, category, date };

// The network's inputs x. Throws a TypeError that names the column that is absent or of a wrong kind.
export const encode = (row) =>
  MODEL.inputs.flatMap((column) => {
    const name = JSON.stringify(column.name);
    if (!Object.hasOwn(row, column.name) || row[column.name] === undefined) {
      throw new TypeError(`column ${name} is absent: give null where its value is missing`);
    }
    try {
      const value = row[column.name];
      const own = ENCODERS[column.type](value, column);
      if (column.indicator === "none") return own;
      return [...own, Number(column.indicator === "active" && isAbsent(value, column))];
    } catch (error) {
      throw new TypeError(`column ${name}: ${error.message}`);
    }
  });

// The network's outputs h(x).
export const forward = (x) =>
  LAYERS.reduce((a, { W, b, activation }) => {
    const z = Array.from(b, (bias, i) => {
      let sum = 0;
      for (let j = 0, at = i * a.length; j < a.length; j += 1, at += 1) sum += W[at] * a[j];
      return sum + bias;
    });
    return activation === "softmax" ? softmax(z) : z.map(ACTIVATIONS[activation]);
  }, x);

// They add up to 1: those of softmax do, others are clipped and scaled.
const sharesOf = (outputs) => {
  const positive = outputs.map((each) => Math.max(each, 0));
  const total = sumOf(positive);
  if (total <= 0) return positive.map(() => 1 / positive.length);
  return Math.abs(total - 1) > 1e-4 ? positive.map((each) => each / total) : positive;
};

const answerOf = (outputs) => {
  if (MODEL.classes === null) {
    const scaled = outputs.map((out, i) => out * MODEL.targets[i].scale + MODEL.targets[i].offset);
    const numbers = scaled.map((each) => (Number.isFinite(each) ? each : null));
    if (numbers.length === 1) return { prediction: numbers[0] };
    return { prediction: Object.fromEntries(numbers.map((each, i) => [MODEL.targets[i].name, each])) };
  }
  const finite = outputs.every(Number.isFinite);
  const shares = finite ? sharesOf(outputs) : outputs.map(() => null);
  const best = finite ? MODEL.classes[outputs.indexOf(largestOf(outputs))] : null;
  return { prediction: best, probabilities: Object.fromEntries(shares.map((each, i) => [MODEL.classes[i], each])) };
};

// For each row its "prediction": a class, a number or, of several targets, {name: number}; of a class
// also "probabilities". null: beyond what floating point can say.
export const predict = (rows) => rows.map((row) => answerOf(forward(encode(row))));

// The numbers of the stored rows whose answers are others than those of the server.
export const verify = () => {
  const { rows, answers, tolerance } = MODEL.vectors;
  const differs = (row, k) => {
    const [found] = predict([row]);
    const named = MODEL.classes === null ? MODEL.targets.map((each) => each.name) : MODEL.classes;
    const single = MODEL.classes === null && named.length === 1;
    const values = MODEL.classes === null ? found.prediction : found.probabilities;
    return named.some((name, i) => {
      const value = single ? values : values[name];
      return value === null || !(Math.abs(value - answers[k][i]) <= tolerance[k][i]);
    });
  };
  return [...rows.keys()].filter((k) => differs(rows[k], k));
};
