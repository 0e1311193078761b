"""What a claim file may say, as frozen dataclasses: the vocabulary that everything else shares.

Nothing here reads files, trains or judges. Two layers of words:

* `Setting` is what people write (``lr: 0.5``, ``model: ae``); every key may be left out.
* `RunConfig` is one run, fully resolved: the content that is hashed into the run's identity.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from bench_lr.calculations import Calculation
from bench_lr.probes import Probe
from bench_lr.schedules import Constant, Schedule

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Epsilon = Annotated[float, Field(ge=1e-30)]
"""What float32 still tells from zero, after it is divided by a LR too."""
Seed = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Split = Literal["training_set", "validation", "test"]
"""What is evaluated: `training_set` is all of a run's own training examples."""
COUNTS = ("steps", "examples")
"""Metrics that every run has, whatever it is evaluated on."""
METRICS = ("loss", "accuracy", "loss_sd", "seconds", *COUNTS)
TRAINING_METRICS = ("loss", "loss_sd", "seconds")
"""Metrics on split ``train``: of a run's minibatches, as it trained on them."""
ONLY_TRAINING = ("loss_sd", "seconds")
"""Metrics on no other split; ``seconds`` has a run that is timed."""
Order = Literal["shuffled", "fixed", "stratified"]
Init = Literal["xavier_uniform", "he_normal", "he_uniform", "torch_default"]
"""How weights are drawn; ``torch_default`` is PyTorch's own: U(-b, b), 1 / b^2 the fan-in."""

# --- layers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Linear:
    """Fully connected layer; weights drawn by `init`, biases zero."""

    out_features: Count
    bias: bool = True
    init: Init = "xavier_uniform"
    kind: Literal["linear"] = "linear"


@dataclass(frozen=True)
class Conv2d:
    """2-D convolution; weights drawn by `init`, biases zero."""

    out_channels: Count
    kernel_size: Count
    stride: Count = 1
    padding: Annotated[int, Field(ge=0)] = 0
    bias: bool = True
    init: Init = "xavier_uniform"
    kind: Literal["conv2d"] = "conv2d"


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation of features, or of channels after a convolution."""

    eps: Positive = 1e-5
    momentum: Positive = 0.1
    kind: Literal["batch_norm"] = "batch_norm"


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout with drop probability `p`."""

    p: Fraction
    kind: Literal["dropout"] = "dropout"


@dataclass(frozen=True)
class ReLU:
    """max(0, x)."""

    kind: Literal["relu"] = "relu"


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-x))."""

    kind: Literal["sigmoid"] = "sigmoid"


@dataclass(frozen=True)
class Tanh:
    """Hyperbolic tangent."""

    kind: Literal["tanh"] = "tanh"


@dataclass(frozen=True)
class MaxPool2d:
    """Max pooling with stride equal to the kernel."""

    kernel_size: Count
    kind: Literal["max_pool2d"] = "max_pool2d"


@dataclass(frozen=True)
class Flatten:
    """(channels, height, width) to features."""

    kind: Literal["flatten"] = "flatten"


@dataclass(frozen=True)
class GhostBatchNorm:
    """Batch normalisation over ghost batches of `size` consecutive examples.

    Hoffer, Hubara, Soudry 2017, "Train longer, generalize better", algorithm 1: the statistics
    used do not change with the batch size.
    """

    size: Annotated[int, Field(ge=2)]
    eps: Positive = 1e-5
    momentum: Positive = 0.1
    kind: Literal["ghost_batch_norm"] = "ghost_batch_norm"


@dataclass(frozen=True)
class GlobalMaxPool:
    """(channels, height, width) to features: the largest value of each channel."""

    kind: Literal["global_max_pool"] = "global_max_pool"


@dataclass(frozen=True)
class Scale:
    """The input times a constant."""

    by: float
    kind: Literal["scale"] = "scale"


@dataclass(frozen=True)
class Residual:
    """x + f(x), f being the inner layers (He et al. 2016); they keep the shape."""

    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    kind: Literal["residual"] = "residual"


@dataclass(frozen=True)
class Imported:
    """A network of the user's own, whole: what `target` names is called without arguments.

    Attributes
    ----------
    target : str
        ``package.module.Name`` of a class or function.
    source : str
        What stands for its source, so that another one makes other runs; filled in.
    """

    target: str
    source: str = ""
    kind: Literal["imported"] = "imported"

    def __post_init__(self) -> None:
        from bench_lr.imported import source_digest

        digest = source_digest(self.target)
        if self.source and self.source != digest:
            raise ValueError(f"the {self.target} whose source is {self.source}; it has changed")
        object.__setattr__(self, "source", digest)


Layer = Annotated[
    Linear
    | Conv2d
    | BatchNorm
    | GhostBatchNorm
    | Dropout
    | ReLU
    | Sigmoid
    | Tanh
    | MaxPool2d
    | GlobalMaxPool
    | Flatten
    | Scale
    | Residual
    | Imported,
    Field(discriminator="kind"),
]

# --- one run, resolved ------------------------------------------------------------------------


DATA = ("mnist", "fashion_mnist", "cifar10", "synthetic", "curve", "curve_unit")


def _data_name(name: str) -> str:
    """Return a name of data; that of the user's own with a digest of its content."""
    if name in DATA:
        return name
    if "." not in name:
        close = difflib.get_close_matches(name, DATA, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"{', '.join(DATA)}, or package.module.Name{hint}")
    from bench_lr.data.files import DataError
    from bench_lr.data.own import named

    try:
        return named(name)
    except DataError as error:
        raise ValueError(f"data of your own ({error})") from error


@dataclass(frozen=True)
class TaskConfig:
    """Data, its split, and the loss.

    ``split: random`` draws train and validation images from the training set by the run's seed;
    ``last`` holds out the last `validation_size` images for every seed.
    """

    data: Annotated[str, AfterValidator(_data_name)]
    train_size: Count
    validation_size: Annotated[int, Field(ge=0)]
    split: Literal["random", "last"] = "random"
    loss: Literal["cross_entropy", "half_mse"] = "cross_entropy"


@dataclass(frozen=True)
class ModelConfig:
    """A feed-forward network, layer by layer."""

    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]


@dataclass(frozen=True)
class OptimizerConfig:
    """Stochastic gradient descent as ``torch.optim.SGD`` defines it (dampening 0)."""

    lr: Positive
    momentum: Fraction = 0.0
    nesterov: bool = False
    weight_decay: NonNegative = 0.0
    kind: Literal["sgd"] = "sgd"

    @property
    def is_plain(self) -> bool:
        """Whether it has neither momentum nor weight decay."""
        return self.momentum == 0 and self.weight_decay == 0


@dataclass(frozen=True)
class AdamConfig:
    """Adam (Kingma and Ba 2015) as ``torch.optim.Adam`` defines it: weight decay is L2."""

    lr: Positive
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Epsilon = 1e-8
    weight_decay: NonNegative = 0.0
    kind: Literal["adam"] = "adam"

    is_plain: ClassVar[bool] = False


@dataclass(frozen=True)
class AdagradConfig:
    """Adagrad (Duchi et al. 2011) as ``torch.optim.Adagrad`` defines it, with ``lr_decay`` 0."""

    lr: Positive
    eps: Epsilon = 1e-10
    initial_accumulator: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    kind: Literal["adagrad"] = "adagrad"

    is_plain: ClassVar[bool] = False


Optimizer = Annotated[OptimizerConfig | AdamConfig | AdagradConfig, Field(discriminator="kind")]
OPTIMIZERS: tuple[type[OptimizerConfig | AdamConfig | AdagradConfig], ...] = (
    OptimizerConfig,
    AdamConfig,
    AdagradConfig,
)


@dataclass(frozen=True)
class Phase:
    """A stretch of a batch-size plan."""

    epochs: Count
    batch_size: Count


@dataclass(frozen=True)
class EvaluationConfig:
    """When and on what to evaluate.

    `per_epoch` times an epoch, evenly spaced, its end included; or only at the end of `every` so
    many epochs, and of the last. What `probes` measure is no part of training, and is part of the
    identity.
    """

    per_epoch: Count = 1
    splits: Annotated[tuple[Split, ...], Field(min_length=1)] = ("validation",)
    every: Count = 1
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True)
class Target:
    """What a run is to reach: a metric of a split `at_most` or `at_least` a number."""

    metric: Literal["loss", "accuracy"] = "loss"
    split: Split = "validation"
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class RunConfig:
    """One training trajectory. Its canonical JSON, with the engine version, is its identity.

    `order` is that of the training examples: ``shuffled`` anew in every epoch; ``fixed``, the order
    of the file in every epoch; or ``stratified``, shuffled such that every batch has as equal a
    share of each class as whole examples allow. A run with `stop_at` ends at its first evaluation
    that meets it, or that finds it diverged. A run that is `timed` trains alone and keeps the time.
    """

    task: TaskConfig
    model: ModelConfig
    optimizer: Optimizer
    batches: Annotated[tuple[Phase, ...], Field(min_length=1)]
    schedule: Schedule = field(default_factory=Constant)
    drop_last: bool = False
    evaluation: EvaluationConfig = EvaluationConfig()
    dtype: Literal["float32", "float64"] = "float32"
    seed: Seed = 0
    order: Order = "shuffled"
    stop_at: Target | None = None
    timed: bool = False

    @property
    def epochs(self) -> int:
        """Length of the run in epochs."""
        return sum(phase.epochs for phase in self.batches)


# --- what people write ------------------------------------------------------------------------

Named = str | dict[str, Any]
ArmKey = Literal[
    "lr", "batch_size", "momentum", "beta1", "beta2", "weight_decay", "train_size", "epochs"
]


@dataclass(frozen=True)
class Setting:
    """Training settings by their everyday names; each may be absent.

    `task`, `model`, `optimizer` and `schedule` are the name of a file in the configuration group
    of that name, or the content of one. ``batches`` (a list of ``[epochs, batch size]``) replaces
    ``batch_size``; its epochs must add up to ``epochs``. ``updates`` replaces ``epochs``: as many
    whole epochs as come nearest to that many parameter updates, at least one. ``evaluate_every: N``
    evaluates at the end of every N-th epoch and of the last. What `probes` measure are metrics of
    split ``train``.
    """

    task: Named | None = None
    model: Named | None = None
    optimizer: Named | None = None
    schedule: Named | None = None
    lr: Positive | None = None
    momentum: Fraction | None = None
    nesterov: bool | None = None
    beta1: Fraction | None = None
    beta2: Fraction | None = None
    weight_decay: NonNegative | None = None
    batch_size: Count | None = None
    batches: Annotated[tuple[tuple[Count, Count], ...], Field(min_length=1)] | None = None
    epochs: Count | None = None
    updates: Count | None = None
    order: Order | None = None
    drop_last: bool | None = None
    train_size: Count | None = None
    validation_size: Annotated[int, Field(ge=0)] | None = None
    evaluations_per_epoch: Count | None = None
    evaluate_every: Count | None = None
    evaluate_on: Annotated[tuple[Split, ...], Field(min_length=1)] | None = None
    stop_at: Target | None = None
    timed: bool | None = None
    probes: tuple[Probe, ...] | None = None
    dtype: Literal["float32", "float64"] | None = None


@dataclass(frozen=True)
class ProfilePatch:
    """How a claim differs under one profile, and why that still decides it."""

    why: str = ""
    seeds: Count | None = None
    train: Setting | None = None
    grid: dict[str, list[Any]] | None = None
    arms: dict[str, Setting] | None = None


@dataclass(frozen=True)
class Measure:
    """Which number of a run a criterion looks at.

    `metric` and `split` name rows of the stored results. `reduce` says how a trajectory becomes
    numbers: ``final``; ``largest`` and ``smallest`` (of all evaluations); ``mean_last`` (mean over
    the evaluations of the last `epochs` epochs);
    ``mean_at`` and ``at`` (mean over, or the values at, the ends of the listed epochs); ``curve``
    (every evaluation from epoch `from_epoch` on).

    ``first`` is the epochs, steps, examples or seconds (`of`) at the first evaluation at which the
    metric is `at_most` or `at_least` a number, and `otherwise` for a run that never gets there.
    ``onset`` is the LR at which the loss of a range test rises: over the consecutive evaluations at
    one LR the mean is taken, and the first LR is given whose mean is above `rise` times the
    smallest mean of the LRs before it, or not finite; `otherwise` where there is none before the LR
    falls again, which ends a round (`from_epoch` is the first evaluation of the round). Split
    ``train`` is the mean over the minibatches since the last evaluation.
    """

    metric: Text
    split: Literal["train", "training_set", "validation", "test"] = "validation"
    reduce: Literal[
        "final",
        "largest",
        "smallest",
        "mean_last",
        "mean_at",
        "at",
        "curve",
        "first",
        "onset",
    ] = "final"
    epochs: tuple[NonNegative, ...] | Count | None = None
    from_epoch: NonNegative = 0.0
    at_most: float | None = None
    at_least: float | None = None
    of: Literal["epochs", "steps", "examples", "seconds"] = "epochs"
    rise: Positive = 1.1
    otherwise: float | None = None


@dataclass(frozen=True)
class Measured:
    """What one arm's runs give under a measure of their own: one number a seed."""

    arm: Text
    measure: Measure
    kind: Literal["measured"] = "measured"


@dataclass(frozen=True)
class Difference:
    """The first minus the second, seed by seed."""

    of: tuple[Text, Text]
    kind: Literal["difference"] = "difference"


@dataclass(frozen=True)
class Ratio:
    """The first over the second, seed by seed; a second that is 0 cannot be judged."""

    of: tuple[Text, Text]
    kind: Literal["ratio"] = "ratio"


@dataclass(frozen=True)
class Log2Ratio:
    """Base-2 logarithm of the first over the second, both of which must be positive."""

    of: tuple[Text, Text]
    kind: Literal["log2_ratio"] = "log2_ratio"


@dataclass(frozen=True)
class LinearCombination:
    """Sum of quantities times coefficients, such as the interaction of a two-by-two design."""

    terms: Annotated[dict[Text, float], Field(min_length=1)]
    kind: Literal["linear"] = "linear"


@dataclass(frozen=True)
class Scaled:
    """A quantity times a number."""

    of: Text
    by: float
    kind: Literal["scaled"] = "scaled"


@dataclass(frozen=True)
class Entry:
    """One of the numbers of a calculation, `at` an index from 0."""

    of: Text
    at: Annotated[int, Field(ge=0)]
    kind: Literal["entry"] = "entry"


@dataclass(frozen=True)
class BestSetting:
    """In each seed, the setting (`by`) of the arm that is best among `arms` (names or patterns).

    A diverged run is never best; of equals, the arm with the smallest setting is. NaN where all
    have diverged.
    """

    arms: Annotated[tuple[Text, ...], Field(min_length=1)]
    measure: Measure
    by: ArmKey
    larger_is_better: bool = True
    kind: Literal["best_setting"] = "best_setting"


@dataclass(frozen=True)
class BestValue:
    """In each seed, the metric of the arm that is best among `arms` (names or patterns).

    Optimistic, since the runs that choose the arm are those that tell its metric: the more so, the
    more arms there are to choose from and the more they differ by chance alone. It is equally so
    for quantities that choose among as many arms.
    """

    arms: Annotated[tuple[Text, ...], Field(min_length=1)]
    measure: Measure
    larger_is_better: bool = True
    kind: Literal["best_value"] = "best_value"


@dataclass(frozen=True)
class ValueNear:
    """In each seed, the metric of the arm whose setting (`by`) is nearest, as a ratio, to `of`.

    Of two that are equally near, the smaller setting. A quantity farther outside the settings of
    the arms than half way to what would be the next cannot be judged: it has no arm near it. NaN
    where the quantity is, and where the arm has diverged.
    """

    of: Text
    arms: Annotated[tuple[Text, ...], Field(min_length=1)]
    measure: Measure
    by: ArmKey
    kind: Literal["value_near"] = "value_near"


@dataclass(frozen=True)
class SketchDistance:
    r"""How far apart two arms have gone from the same start: |a - b| / |a|.

    a and b are the displacements from the initial weights of the first and the second arm at the
    end of epoch `at`, or the last that was measured, by the probe ``displacement_sketch``: |a - b|
    is the distance of their sketches (see `bench_lr.probes` for its precision).
    """

    of: tuple[Text, Text]
    at: Positive | None = None
    kind: Literal["sketch_distance"] = "sketch_distance"


Derived = Annotated[
    Measured
    | Difference
    | Ratio
    | Log2Ratio
    | LinearCombination
    | Scaled
    | Entry
    | BestSetting
    | BestValue
    | ValueNear
    | SketchDistance,
    Field(discriminator="kind"),
]
"""A quantity worked out of arms and calculations, seed by seed; see `bench_lr.derived`."""


@dataclass(frozen=True)
class CriterionSpec:
    """One assertion of a claim.

    `role`: a ``claim`` criterion must be reproduced; a ``control`` must be refuted, else the test
    could not fail; a ``reading`` is shown and never counted. `arms` are the arms, calculations and
    derived quantities it looks at (names or shell patterns). When empty: those that its parameters
    name, if there is one among them that is no arm; else all arms. `by_arm` fills a parameter with
    a mapping from each arm to its value of a setting (``x: batch_size``); `order_by` fills the
    parameter ``order`` with the arms sorted by a setting. `sd` is the between-seed standard
    deviation that is expected of the quantity judged, in its units: what can be decided is worked
    out from it before anything is trained.
    """

    id: Text
    kind: Text
    params: dict[str, Any] = field(default_factory=dict)
    measure: Measure | None = None
    arms: tuple[Text, ...] = ()
    by_arm: dict[str, ArmKey] = field(default_factory=dict)
    order_by: ArmKey | None = None
    role: Literal["claim", "control", "reading"] = "claim"
    why: str = ""
    sd: Positive | None = None


@dataclass(frozen=True)
class FigureSpec:
    """What to draw: a registered figure kind and its parameters."""

    kind: Text
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClaimFile:
    """The content of ``conf/claim/<source>/<slug>.yaml``."""

    title: Text
    statement: Text
    place: Text
    source_says: Text
    cost: Literal["s", "m", "G"]
    criteria: Annotated[tuple[CriterionSpec, ...], Field(min_length=1)]
    figure: FigureSpec
    train: Setting = Setting()
    grid: dict[str, list[Any]] = field(default_factory=dict)
    arms: dict[str, Setting] = field(default_factory=dict)
    calculations: dict[str, Calculation] = field(default_factory=dict)
    derived: dict[str, Derived] = field(default_factory=dict)
    seeds: Count | None = None
    profiles: dict[str, ProfilePatch] = field(default_factory=dict)
    remarks: str = ""


@dataclass(frozen=True)
class Profile:
    """How much to train: seeds by default, and caps that only the plumbing test uses."""

    name: Text
    seeds: Count
    may_judge: bool
    gpu_claims: bool
    description: Text
    max_epochs: Count | None = None
    max_train_size: Count | None = None
    data: Literal["synthetic"] | None = None
    looks: tuple[Count, ...] = ()
    """Seeds at each look where seeds are added until a claim is decided; the last is the cap."""


# --- resolved for one profile -----------------------------------------------------------------


@dataclass(frozen=True)
class Arm:
    """The runs of a claim that differ only in seed, in order of seed."""

    name: str
    runs: tuple[RunConfig, ...]


@dataclass(frozen=True)
class Claim:
    """A claim resolved for one profile: what to train, how to judge, what to draw."""

    id: str
    file: str
    profile: Profile
    spec: ClaimFile
    arms: tuple[Arm, ...]
    shortened: str = ""
    looks: tuple[int, ...] = ()
    """Seeds at which it may be judged, declared beforehand; none where their number is fixed."""

    @property
    def seeds(self) -> int:
        """Seeds of an arm."""
        return len(self.arms[0].runs) if self.arms else 0

    @property
    def source(self) -> str:
        """The document that makes the claim."""
        return self.id.partition("/")[0]

    @property
    def out_of_profile(self) -> bool:
        """Whether the claim wants a GPU that this profile does not ask for."""
        return self.spec.cost == "G" and not self.profile.gpu_claims
