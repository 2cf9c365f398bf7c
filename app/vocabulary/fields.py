"""Names of fields, in small letters: other libraries' and our own, which may stand in the wrong place."""

from app.vocabulary.words import by_word

FIELDS = by_word(
    {
        'architecture.layers, e.g. [{"units": 16, "activation": "tanh"}]': (
            "hidden hidden_dims hidden_layer_sizes hidden_layers hidden_units_per_layer layer_sizes "
            "network sizes"
        ),
        "architecture.output.activation": "out_activation_ output_activation",
        "dataset_id": "data_id dataset dataset_name train_data training_data training_frame",
        "dataset_id (upload the rows to POST /v1/datasets first)": "data",
        "features": "columns feature_columns feature_names input_columns inputs predictors x x_columns",
        "initial_model_id": (
            "base_model checkpoint init_model initial_model pretrained resume_from warm_start"
        ),
        "initial_parameters": (
            "coefs coefs_ init_weights initial_weights intercepts_ starting_weights weights"
        ),
        "architecture.layers[].activation": "act activation_function nonlinearity transfer_function",
        "architecture.layers[].dropout": "drop_rate dropout_rate hidden_dropout_ratios p",
        "architecture.layers[].dropout, of each hidden layer": "dropout",
        "architecture.layers[].dropout, which is 1 - keep_prob": "keep_prob",
        "architecture.layers[].dropout, or training.optimizer.learning_rate": "rate",
        "architecture.layers[].initialization": (
            "init initial_weight_distribution initializer kernel_init kernel_initializer weight_init"
        ),
        "architecture.layers[].units": (
            "hidden_dim hidden_size hidden_units n_neurons n_nodes n_units neurons nodes num_units "
            "out_features size width"
        ),
        "metadata": "annotations notes tags",
        "name": "experiment_name job_name run_name title",
        "target": (
            "label label_column labels outcome output_column response response_column target_column targets "
            "y y_column"
        ),
        "task": "distribution model_type problem problem_type",
        "training.batch_size": "batch mini_batch_size minibatch_size per_device_train_batch_size",
        "training.class_weight": "balance_classes class_weights pos_weight",
        "training.cost": "cost_function criterion error_function loss loss_fn loss_function objective",
        "training.dtype": "float_type floatx precision",
        "training.early_stopping": "callbacks early_stop",
        "training.early_stopping.min_delta": "stopping_tolerance threshold",
        "training.early_stopping.min_delta, or training.optimizer.tolerance with the name lbfgs": "tol",
        "training.early_stopping.monitor": "stopping_metric",
        "training.early_stopping.patience": (
            "early_stopping_patience early_stopping_rounds n_iter_no_change stopping_rounds wait"
        ),
        "training.early_stopping.restore_best_weights": "load_best_model_at_end restore_best",
        "training.epochs": (
            "epoch iterations max_epochs max_fun max_iter max_iterations n_epochs n_iter "
            "n_iterations nb_epoch num_epoch num_epochs num_iterations num_round"
        ),
        "training.epochs: a cosine ends with them": "t_max",
        "training.gradient_clip_norm": (
            "clip clip_grad_norm clip_norm clipnorm global_clipnorm grad_clip "
            "gradient_clip gradient_clip_val max_grad_norm max_norm"
        ),
        "training.keep_epochs": "checkpoint_every save_best_only save_every save_freq",
        "training.learning_rate_schedule": (
            "learning_rate_decay learning_rate_scheduler lr_decay lr_schedule lr_scheduler scheduler"
        ),
        "training.learning_rate_schedule for alpha, training.weight_decay for the penalty": "decay",
        "training.learning_rate_schedule.every": "decay_steps step_every step_size",
        "training.learning_rate_schedule.factor": "gamma",
        "training.learning_rate_schedule.factor, with the name exponential": "decay_rate",
        "training.learning_rate_schedule.final_learning_rate": "end_learning_rate eta_min min_lr",
        "training.learning_rate_schedule.warmup_epochs": "warm_up warmup",
        "training.learning_rate_schedule.warmup_epochs, counted in epochs": "warmup_ratio warmup_steps",
        "training.optimizer": "algorithm optim optimiser",
        "training.optimizer.beta1": "beta_1",
        "training.optimizer.beta1 and beta2": "betas",
        "training.optimizer.beta2": "beta_2",
        "training.optimizer.epsilon": "eps",
        "training.optimizer.learning_rate": (
            "base_lr eta eta0 initial_lr learn_rate learning_rate learning_rate_init learningrate lr lrate "
            "stepsize"
        ),
        "training.optimizer.memory, with the name lbfgs": "history_size",
        "training.optimizer.momentum, with the name momentum or nesterov": "momentum",
        "training.optimizer.name": "solver updater",
        "training.optimizer.name, nesterov": "nesterov nesterovs_momentum",
        "training.optimizer.tolerance, with the name lbfgs": "tolerance_change tolerance_grad",
        "training.sample_weight_column": "weight weight_col weight_column weights_column",
        "training.sample_weight_column, a column of the dataset": "sample_weight sample_weights",
        "training.seed": "manual_seed random_number_seed random_seed random_state",
        "training.shuffle": "shuffle_training_data",
        "training.standardize": "feature_scaling normalise normalize scale scaling standardise",
        "training.stratify": "stratified",
        "training.test_fraction": "holdout test_ratio test_size test_split",
        "training.threads": "n_jobs n_threads nthread num_cores num_threads num_workers",
        "training.time_budget_seconds": (
            "budget max_duration max_runtime_secs max_seconds max_time time_budget time_limit timeout"
        ),
        "training.validation_fraction": (
            "val_fraction val_size val_split valid_size validation_data validation_ratio validation_size "
            "validation_split"
        ),
        "training.weight_decay": (
            "kernel_regularizer l2 l2_reg l2_regularization lambda lambda_ penalty reg reg_lambda "
            "regularization weight_penalty"
        ),
        "training.weight_decay (adamw has its own: training.optimizer.decoupled_weight_decay)": (
            "weight_decay"
        ),
        "training.weight_decay for the penalty, training.optimizer.learning_rate for the step": "alpha",
    }
)
"""Names of a job's fields."""

PREDICTION = by_word(
    {
        "rows": "data dataframe_records dataframe_split examples instances records samples",
        "inputs": "features input matrix ndarray values x",
    }
)
"""Names of a prediction's fields."""

TRACE = PREDICTION | by_word(
    {
        "learning_rate": "alpha eta eta0 learning_rate_init lr step_size",
        "targets": "label labels outputs target y",
        "weight_decay": "l2 lambda lambda_ reg",
    }
)
"""Names of a trace's fields."""
