"""Our own names of a job's fields, and where they stand; names of what is not here, and why."""

from app.vocabulary.words import by_word

_WITHIN = {
    "": (
        "architecture architecture_id dataset_id features initial_model_id initial_parameters metadata name "
        "priority target task training"
    ),
    "architecture.": "layers output",
    "initial_parameters[].": "W b",
    "training.": (
        "batch_size class_weight cost dtype early_stopping epochs fold gradient_clip_norm keep_epochs "
        "learning_rate_schedule min_frequency missing_indicators optimizer preset sample_weight_column seed "
        "shuffle split_id split_seed standardize stratify test_fraction threads time_budget_seconds "
        "validation_fraction"
    ),
    "training.early_stopping.": "min_delta monitor restore_best_weights start_from_epoch",
    "training.fold.": "index of",
    "training.learning_rate_schedule.": "every factor final_learning_rate warmup_epochs",
    "training.optimizer.": "beta1 beta2 decoupled_weight_decay epsilon memory rho tolerance",
}
PLACES = {name.lower(): f"{place}{name}" for place, names in _WITHIN.items() for name in names.split()} | {
    "activation": "architecture.layers[].activation, or architecture.output.activation",
    "initialization": "architecture.layers[].initialization, or architecture.output.initialization",
    "units": "architecture.layers[].units (those of the output layer follow from the target)",
    "patience": "training.early_stopping.patience, or training.learning_rate_schedule.patience",
}
"""By a name that may stand in the wrong place: its right one, in a job."""

ABSENT = by_word(
    {
        "POST /v1/cross-validations makes a job for each fold; training.fold is one of them.": (
            "cross_validation cv folds n_folds n_splits nfolds"
        ),
        "Every layer has its b, which starts at 0.": "bias bias_initializer fit_intercept use_bias",
        "Gradients are clipped by their norm: training.gradient_clip_norm.": "clip_value clipvalue",
        "Length is counted in epochs: training.epochs. Each has training rows / training.batch_size steps.": (
            "max_steps num_steps num_train_steps steps steps_per_epoch"
        ),
        "Nothing is compiled.": "compile jit_compile run_eagerly steps_per_execution",
        "Nothing is printed: every epoch is in GET /v1/jobs/{id}/epochs, and in its events.": (
            "disp log_level progress_bar verbose"
        ),
        "Nothing needs to be named: the inputs follow from the features.": (
            "in_features input_dim input_shape input_size n_inputs"
        ),
        "Nothing needs to be named: the metrics follow from the task.": (
            "eval_metric metrics scoring weighted_metrics"
        ),
        "Nothing needs to be named: the outputs follow from the target.": (
            "n_classes n_outputs num_classes output_dim"
        ),
        "There is no inverse scaling; training.learning_rate_schedule has step, exponential and cosine.": (
            "power_t"
        ),
        "There is no penalty on absolute values; training.weight_decay is on squares.": (
            "l1 l1_ratio l1_regularization reg_alpha"
        ),
        "There is no such layer; training.standardize scales what goes in.": (
            "batch_norm batch_normalization batchnorm layer_norm"
        ),
        "There is no such option here.": (
            "cooldown gradient_accumulation_steps input_dropout_ratio label_smoothing"
        ),
        "This variant of the optimizer is not here.": (
            "amsgrad capturable centered dampening differentiable foreach fused maximize use_ema"
        ),
        "Training is on the processor; training.threads says on how many cores.": (
            "accelerator cuda device gpu gpus use_gpu"
        ),
        "What training.validation_fraction and training.test_fraction leave is trained on.": (
            "train_fraction train_size train_split training_fraction"
        ),
        "lbfgs always searches its step by the strong Wolfe conditions.": "line_search_fn max_eval",
    }
)
"""Names of what is not here, and why, or what comes near it."""
