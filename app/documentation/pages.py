"""The pages themselves, what they may load, and who of a browser's requests a cookie opens them to."""

import base64
import hashlib
from importlib.util import find_spec
from pathlib import Path

PAGE = "/docs"
DOCUMENT = "/openapi.json"
SCRIPT, STYLE, START = f"{PAGE}/swagger-ui-bundle.js", f"{PAGE}/swagger-ui.css", f"{PAGE}/start.js"
READABLE = frozenset({PAGE, DOCUMENT, SCRIPT, STYLE, START})
"""The paths that a cookie opens, to GET and HEAD."""

COOKIE = "chainrule_documentation"

STARTER = f"""\
SwaggerUIBundle({{
  url: "{DOCUMENT}",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
  queryConfigEnabled: false,
  defaultModelsExpandDepth: 0,
}});
"""
"""It runs in its own file: the page has no script that is written in it."""

READING = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Chainrule API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{STYLE}">
<div id="page"></div>
<script src="{SCRIPT}"></script>
<script src="{START}"></script>
</html>
"""
_SIGN_IN_SCRIPT = f"""
document.querySelector("form").addEventListener("submit", async (event) => {{
  event.preventDefault();
  const key = document.querySelector("input").value;
  const headers = {{ Authorization: "Bearer " + key }};
  const answer = await fetch("{PAGE}", {{ method: "POST", headers }}).catch(() => null);
  if (answer && answer.ok) location.reload();
  else document.querySelector("output").value = "The server does not take this key.";
}});
"""
SIGN_IN = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Chainrule API</title>
<link rel="icon" href="data:,">
<form>
<p><label>API key <input type="password" autocomplete="off" required></label> <button>Read</button></p>
<p><output></output></p>
</form>
<script>{_SIGN_IN_SCRIPT}</script>
</html>
"""

_SHA256 = base64.b64encode(hashlib.sha256(_SIGN_IN_SCRIPT.encode()).digest()).decode()
_NOTHING_ELSE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
READING_POLICY = (
    f"{_NOTHING_ELSE}; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'"
)
SIGN_IN_POLICY = f"{_NOTHING_ELSE}; script-src 'sha256-{_SHA256}'; img-src data:; connect-src 'self'"


def assets() -> dict[str, Path]:
    """Swagger UI's files, by their paths here."""
    found = find_spec("fastapi_offline")  # looked for and not imported: only its files are wanted
    assert found is not None
    assert found.submodule_search_locations is not None
    static = Path(found.submodule_search_locations[0]) / "static"
    return {path: static / path.rpartition("/")[2] for path in (SCRIPT, STYLE)}
