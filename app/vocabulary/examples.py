"""What stands in a place of a job or an architecture, for those who send something of another kind."""

EXAMPLES = {
    "architecture": 'For example {"layers": [{"units": 16, "activation": "tanh"}]}, or "auto".',
    "early_stopping": 'For example {"patience": 20}; null: none.',
    "epochs": "For example 200; with early_stopping it ends before.",
    "features": 'For example ["length", "width"].',
    "layers": 'For example [{"units": 16, "activation": "tanh"}].',
    "layers[]": 'For example {"units": 16, "activation": "tanh"}.',
    "learning_rate_schedule": 'For example {"name": "cosine"}.',
    "optimizer": 'For example {"name": "adam", "learning_rate": 0.001}.',
    "output": 'For example {"activation": "sigmoid"}.',
    "training": 'For example {"epochs": 100}.',
}
