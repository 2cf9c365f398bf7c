"""Words for values, in small letters: costs, optimizers, schedules, activations and the like."""

from app.vocabulary.words import by_word

SAME = by_word(
    {
        "absolute_error": (
            "l1 l1_loss l1loss lad laplace mae mean_absolute mean_absolute_deviation mean_absolute_error"
        ),
        "adamw": "adam_w",
        "all": "every",
        "auto": "automatic",
        "balanced": "auto balance balanced_subsample",
        "classification": (
            "bernoulli binary binary_classification categorical classifier multi_class multiclass multinomial"
        ),
        "constant": "constantlr fixed no none off",
        "cosine": (
            "cosine_annealing cosine_decay cosineannealing cosineannealinglr cosineannealingwarmrestarts "
            "cosinedecay"
        ),
        "cost": "loss train_loss training_loss",
        "cross_entropy": (
            "bce bceloss bcewithlogitsloss binary:logistic binary_cross_entropy binary_crossentropy "
            "categorical_cross_entropy categorical_crossentropy cross-entropy cross_entropy_loss "
            "crossentropy crossentropyloss log-loss log_loss logloss multi:softmax negative_log_likelihood "
            "nll nll_loss nllloss softmax_cross_entropy sparse_categorical_crossentropy"
        ),
        "exponential": "exp exponential_decay exponential_lr exponentialdecay exponentiallr",
        "float32": "f32 float fp32 single",
        "float64": "double f64 fp64",
        "full": "all batch",
        "gelu": "gelu_new",
        "glorot_normal": "xavier_normal xavier_normal_",
        "glorot_uniform": "glorot xavier xavier_init xavier_uniform xavier_uniform_",
        "gradient_descent": (
            "batch_gradient_descent gd gradientdescent sgd stochastic_gradient_descent vanilla"
        ),
        "he_normal": "he kaiming kaiming_normal kaiming_normal_",
        "he_uniform": "kaiming_uniform kaiming_uniform_",
        "huber": "huber_loss huberloss smooth_l1 smooth_l1_loss smoothl1loss",
        "identity": "id linear none",
        "last": "latest none",
        "lbfgs": "bfgs l-bfgs l-bfgs-b l_bfgs",
        "leaky_relu": "leaky-relu leakyrectifier leakyrelu lrelu",
        "momentum": "heavy_ball sgd_momentum",
        "nesterov": "nag nesterov_momentum sgd_nesterov",
        "paper": "backprop classic",
        "plateau": "adaptive reduce_lr_on_plateau reduce_on_plateau reducelr reducelronplateau",
        "regression": "continuous numeric regressor",
        "relu": "rectified_linear rectifier rectlinear",
        "rmsprop": "rms rms-prop rms_prop",
        "sigmoid": "expit logistic logit",
        "silu": "swish",
        "softplus": "smoothrelu soft_plus",
        "squared_error": (
            "gaussian l2 l2_loss l2loss least_squares ls mean_squared_error mse mse_loss mseloss quadratic "
            "reg:squarederror rmse"
        ),
        "step": "staircase step_lr steplr steps",
        "tanh": "hyperbolic_tangent tansig",
        "uniform": "random random_uniform",
        "validation_cost": "eval_loss val_cost val_loss valid_loss validation_loss",
        "zeros": "zero",
    }
)
"""By what is called so elsewhere: what it is called here."""

NEAREST = by_word(
    {
        "adam": "adadelta adagrad adamax amsgrad ftrl lion nadam radam",
        "cross_entropy": "categorical_focal_crossentropy focal hinge kl_divergence kldivloss",
        "cosine": "cosine_decay_restarts",
        "elu": "celu selu",
        "exponential": "inverse_time_decay inversetimedecay invscaling polynomialdecay",
        "float32": "16-mixed bf16-mixed bfloat16 float16 half mixed mixed_float16",
        "gelu": "quick_gelu",
        "glorot_normal": "lecun_normal normal random_normal truncated_normal",
        "glorot_uniform": "lecun_uniform",
        "lbfgs": "cg newton-cg",
        "leaky_relu": "prelu rrelu",
        "relu": "relu6",
        "sigmoid": "hard_sigmoid hardsigmoid log_sigmoid logsigmoid",
        "silu": "hard_swish hardswish mish",
        "softmax": "log_softmax logsoftmax",
        "step": "multisteplr piecewise piecewiseconstantdecay",
        "tanh": "hard_tanh hardtanh softsign",
        "validation_cost": "accuracy val_acc val_accuracy",
        "zeros": "constant_initializer",
    }
)
"""By what is not here: what comes near it."""
