"""System calls that a process gives up for good: a filter that the kernel runs before each of them (Linux).

Our own code, since the bindings at hand need a C library that small images lack, or let x86-64's second
numbering of the calls (x32) pass.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Sequence

_NUMBERS = """
call x86_64 aarch64
seccomp 317 277
socket 41 198
fork 57 -
vfork 58 -
clone 56 220
clone3 435 435
execve 59 221
execveat 322 281
kill 62 129
tkill 200 130
tgkill 234 131
rt_sigqueueinfo 129 138
rt_tgsigqueueinfo 297 240
pidfd_send_signal 424 424
pidfd_getfd 438 438
prlimit64 302 261
ptrace 101 117
process_vm_readv 310 270
process_vm_writev 311 271
io_uring_setup 425 425
unshare 272 97
setns 308 268
mount 165 40
bpf 321 280
perf_event_open 298 241
userfaultfd 323 282
add_key 248 217
keyctl 250 219
"""
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

NEVER = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"),  # into other processes
    *("io_uring_setup",),  # opens sockets past any filter
    *("unshare", "setns", "mount", "bpf", "perf_event_open", "userfaultfd", "add_key", "keyctl"),
)
"""What nobody here needs, and what ways out of walls have been made of."""

SIGNALS = ("kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")
THREAD, NAMESPACES = 0x00010000, 0x7E020000
"""Flags of ``clone``."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ERROR, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_SET_FILTER, _ALL_THREADS, _KEEP_SPEED = 1, 1, 4

Instruction = tuple[int, int, int, int]
_REFUSE: Instruction = (_RETURN, 0, 0, _ERROR | errno.EPERM)
_PASS: Instruction = (_RETURN, 0, 0, _ALLOW)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def is_available() -> bool:
    """Whether this kernel takes filters for all threads and knows this machine's calls, and whoever confined
    us lets us: it goes as far as to look for the filter."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall(_numbers(machine)["seccomp"], _SET_FILTER, _ALL_THREADS, None)
    return ctypes.get_errno() == errno.EFAULT


def refuse(*, families: Iterable[int], processes: bool) -> None:
    """Refuse to every thread of this process, and to its children: sockets but of these address families, and
    `NEVER`; without ``processes`` also to start one or to signal one.

    What is refused fails with EPERM. `no_new_privileges` comes first. Raises OSError.
    """
    machine = platform.machine()
    numbers = _numbers(machine)
    blocks: dict[str, Sequence[Instruction]] = dict.fromkeys(NEVER, (_REFUSE,))
    blocks["socket"] = _if_equal(0, families)
    blocks["prlimit64"] = _if_equal(0, (0, os.getpid()))
    # Glibc falls back to clone, whose flags can be seen.
    blocks["clone3"] = ((_RETURN, 0, 0, _ERROR | errno.ENOSYS),)
    if processes:
        blocks["clone"] = ((_LOAD, 0, 0, _ARGUMENTS_AT), (_ANY_BIT, 0, 1, NAMESPACES), _REFUSE, _PASS)
    else:
        blocks |= dict.fromkeys((*SIGNALS, "fork", "vfork", "execve", "execveat"), (_REFUSE,))
        blocks["clone"] = ((_LOAD, 0, 0, _ARGUMENTS_AT), (_ANY_BIT, 1, 0, THREAD), _REFUSE, _PASS)
        blocks["tgkill"] = _if_equal(0, (os.getpid(),))  # abort() is that
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),  # a 32-bit call
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), _REFUSE]
    for name, block in blocks.items():
        if name in numbers:
            code += [(_EQUAL, 0, len(block), numbers[name]), *block]
    _install([*code, _PASS], numbers["seccomp"])


def _if_equal(argument: int, values: Iterable[int]) -> list[Instruction]:
    """Allow a call whose argument is one of these, and no other."""
    wanted = list(values)
    tests = [(_EQUAL, len(wanted) - index, 0, value) for index, value in enumerate(wanted)]
    return [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument), *tests, _REFUSE, _PASS]


def _numbers(machine: str) -> dict[str, int]:
    head, *rows = (line.split() for line in _NUMBERS.split("\n") if line)
    column = head.index(machine)
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def _install(code: Sequence[Instruction], number: int) -> None:
    packed = b"".join(struct.pack("HBBI", *each) for each in code)
    program = _Program(len(code), packed)
    library = ctypes.CDLL(None, use_errno=True)
    for flags in (_ALL_THREADS | _KEEP_SPEED, _ALL_THREADS):  # the second on kernels before 4.17
        if (came := library.syscall(number, _SET_FILTER, flags, ctypes.byref(program))) == 0:
            return
    if came > 0:
        raise OSError(errno.EBUSY, "a thread has a filter of its own")
    raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")
