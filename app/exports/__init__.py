"""Models to take home, and to bring back: files that need no Chainrule to be of use."""
