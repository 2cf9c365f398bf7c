"""How the words are written down: beside what they mean, in small letters, with spaces between."""

from collections.abc import Mapping


def by_word(words: Mapping[str, str]) -> dict[str, list[str]]:
    """From the words for each thing to the things for each word: mostly one."""
    found: dict[str, list[str]] = {}
    for meaning, listed in words.items():
        for word in listed.split():
            found.setdefault(word, []).append(meaning)
    return found
