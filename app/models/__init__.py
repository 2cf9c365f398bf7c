"""Models: what a job leaves; an architecture, its trained parameters and the encoding of its columns."""
