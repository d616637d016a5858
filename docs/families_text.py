"""What docs/families.md says of each family and learner beside what the code itself tells.

A family: what its members have in common. A learner: the cost of a step, and when to choose it.
B rows, C classes, K shots, E embedding, P fast weights.
"""

FAMILIES = {
    "metric": "Embed, then compare. Learned over tasks: a space in which near means alike;"
    " what a task teaches is where its classes lie in it.",
    "optimization": "Gradient descent inside, meta-learned around it: start, step sizes, or"
    " which weights may move. More steps on the same support help, so they rehearse.",
    "model-based": "A network with a memory that is written in one pass and read by content; or a"
    " network that computes the changes of another.",
    "black box": "One network reads the labelled examples in order and answers. It can learn any"
    " rule of learning that its training tasks reward, and nothing beyond them.",
    "Bayesian": "A prior learned over tasks, a posterior per task. They know how sure they are,"
    " and say so.",
    "contextual": "A short vector says which task this is and modulates a network that all share:"
    " nothing else moves, so nothing else can be forgotten.",
    "hypernetwork": "A network reads the support and writes the weights of another one.",
    "continual": "Meta-trained on tasks that come one after another, with the old ones in the loss:"
    " what is learned over tasks is how not to interfere.",
    "baseline": "What meta-learning must beat to be worth its training.",
    "stream": "Learners that start knowing nothing, of which the default agent is made.",
}
"""In the order of the page."""

EMBED = "`learn`: one pass of the body a row. `predict`: one pass"
STEPS = "`learn`: one pass over P weights, forth and back, a step. `predict`: one forth"

LEARNERS = {
    "prototypical": (
        f"{EMBED}, and C distances.",
        "The first to try for classes: quick, any number of ways, exact on streams.",
    ),
    "prototypical-cosine": (
        f"{EMBED}, and C cosines.",
        "Where the length of an embedding means nothing, as with counts or spectra.",
    ),
    "matching": (
        f"{EMBED}, and one cosine a kept example.",
        "Classes of several clusters each, which one mean cannot describe; memory for the support.",
    ),
    "matching-fce": (
        f"{EMBED}; then recurrent passes over the whole support for every answer.",
        "Small fixed supports with fine differences between classes; too slow for streams.",
    ),
    "relation": (
        f"{EMBED}, and a small network for each pair of row and class.",
        "When no simple distance fits and there are many training tasks.",
    ),
    "maml": (
        f"{STEPS}. Meta-training goes through the steps: twice the cost of first order.",
        "The general choice where tasks differ in all layers, and for numbers; robots' dynamics.",
    ),
    "fomaml": (
        f"{STEPS}. Meta-training without second derivatives.",
        "As MAML, where memory or time is short; a little worse.",
    ),
    "anil": (
        "`learn`: a gradient step on the head alone. `predict`: one forward pass.",
        "Classes with a good common embedding; many users, since a state is a head.",
    ),
    "metasgd": (
        f"{STEPS}, with a step size a weight.",
        "As MAML, when one or two steps are all there is time for.",
    ),
    "reptile": (
        f"{STEPS}. Meta-training needs no derivative through them at all.",
        "Long inner loops and large networks; it needs no split into support and query.",
    ),
    "imaml": (
        f"{STEPS}. Outer gradient by conjugate gradients: it costs the same after any number.",
        "Long inner loops to convergence, where unrolling would not fit.",
    ),
    "meta-lstm": (
        f"{STEPS}, and a small LSTM for each weight.",
        "When the rule of learning itself should be learned; short horizons.",
    ),
    "mann": (
        "`learn` and `predict`: one step of the controller and one read of the memory a row.",
        "Rare bindings that must be held after one sight; a fixed number of label codes.",
    ),
    "fast-weights": (
        "`learn`: one outer product a row. `predict`: one matrix product.",
        "Associations that must be overwritten when they change; constant memory on streams.",
    ),
    "hebbian": (
        "`learn`: one outer product a row. `predict`: one forward pass.",
        "Quick binding in the last layer with a plasticity that is itself learned.",
    ),
    "lstm": (
        "`learn`: one recurrent step a row. `predict`: one more.",
        "Sequences whose order matters; state of a few hundred bytes.",
    ),
    "gru": (
        "`learn`: one recurrent step a row. `predict`: one more.",
        "As the LSTM, with a third fewer parameters.",
    ),
    "transformer": (
        "`learn`: one pass of the row's token over the cached keys. `predict`: the same.",
        "The strongest in context where training tasks are many and like those to come.",
    ),
    "snail": (
        "`learn` and `predict`: convolutions and attention over the window.",
        "As the Transformer, with short-range order built in.",
    ),
    "alpaca": (
        f"{EMBED}; an update of an E by E matrix, and its solve.",
        "Numbers, few examples, and an honest interval; the first to try for regression.",
    ),
    "bayes-classifier": (
        f"{EMBED}; sums by class.",
        "Classes with an honest probability from the first example on.",
    ),
    "versa": (
        f"{EMBED}; a small network a class writes the head, sampled.",
        "Classes at once, without steps, with a head that knows its doubt.",
    ),
    "neural-process": (
        f"{EMBED} of encoder and decoder, for each sample.",
        "Functions of few inputs, with coherent doubt far from the data.",
    ),
    "bayesian-maml": (
        f"{STEPS}, times the number of particles.",
        "Where several explanations fit a handful of examples, and all should be kept.",
    ),
    "cavia": (
        "`learn`: a gradient step on a few context numbers. `predict`: one forward pass.",
        "Many users or robots: a state of tens of bytes, no forgetting of shared weights.",
    ),
    "context-window": (
        "`learn`: one pass of the M examples kept, a system of M equations. `predict`: one pass.",
        "Dynamics of robots whose bodies change: what was seen last explains what comes next.",
    ),
    "cnp": (
        f"{EMBED} of encoder and decoder.",
        "Functions of few inputs, thousands of tasks at once: the cheapest of all.",
    ),
    "cnaps": (
        f"{EMBED} of a modulated body.",
        "Classes whose best features differ by task.",
    ),
    "hypernetwork": (
        f"{EMBED}; then the small network that was written.",
        "When predictions must be cheap and tasks come often.",
    ),
    "oml": (
        "`learn`: a gradient step on the prediction network for each example.",
        "Hundreds of classes in a row, nothing stored.",
    ),
    "anml": (
        "`learn`: a gradient step on the gated head for each example.",
        "As OML, where classes should use separate parts of the network.",
    ),
    "la-maml": (
        f"{STEPS}, with a learned step size a weight.",
        "Streams of tasks where old ones should set the pace of new ones.",
    ),
    "gemcl": (
        f"{EMBED}; sums by class.",
        "The first to try for classes that come one after another: order does not matter.",
    ),
    "sb-mcl": (
        f"{EMBED}; conjugate updates.",
        "As GeMCL, for numbers too.",
    ),
    "learned-rule": (
        f"{STEPS}, with learned gates that guard what old tasks need.",
        "Streams with recurring tasks, where plain gradients wear old knowledge away.",
    ),
    "scratch": (STEPS + ".", "To see what a task's own examples give."),
    "finetune": (STEPS + ".", "To see what plain training on all tasks gives."),
    "nearest": (
        "`learn`: stores the row. `predict`: one distance a kept row.",
        "To see whether the raw features already tell the classes apart.",
    ),
    "majority": ("Counts.", "To see what the labels alone give."),
    "recency": ("Decayed counts.", "Labels that repeat; in every table of streams."),
    "transitions": ("One comparison a kept label.", "Labels that follow one another."),
    "autoregression": ("A few sums a block.", "Numbers that go on from the last ones."),
    "ridge": ("One product a block, and one Cholesky factor.", "Linear rules, and few labels."),
    "bayes": ("One product a block.", "Classes that are clouds; few labels, many quantities."),
    "attention": (
        "One distance a kept event, one gradient step a block; at times, a look at the bank.",
        "Streams; where old tasks come back, or one class is rare: the bank keeps both.",
    ),
    "network": ("One gradient step a block.", "Streams."),
    "stack": ("Its parts'.", "Streams: attention, recency and the network together."),
    "mixture": (
        "Ridge's, once for every hypothesis that is alive.",
        "Streams whose tasks come back: what was learned of one is found again.",
    ),
    "cells": (
        "One look-up a table of cells; one gradient step a block.",
        "Streams of words and of rules on one to four columns, as trees find them.",
    ),
    "boosted": (
        "One look-up a tree; at every 128th label a new tree, grown on at most 1024 rows.",
        "Thresholds and conjunctions of quantities, above all where a rare class lies behind them.",
    ),
    "blend": (
        "Its parts', and about 1.2 ms a block of 32 rows.",
        "Streams: the default agent.",
    ),
    "share": ("Its parts'.", "Streams: the default agent's voices without a learned mixer."),
    "river:GaussianNB": ("River's.", "Any River model can sit at the table."),
    "river:HoeffdingTree": ("River's.", "Any River model can sit at the table."),
    "river:Logistic": ("River's.", "Any River model can sit at the table."),
}
"""Cost, and when to choose it."""

READINGS = {
    "sinusoid": "Two numbers describe a task here, and a network that reads the support as a set or"
    " keeps a posterior over features made for it finds them at once; gradient steps approach them."
    " MAML is trained with one inner step, as in the paper. Meta-SGD and CAVIA are trained with one"
    " to five, drawn at random, which is what keeps them stable at ten. Those trained on the"
    " squared error alone say too wide intervals: their errors have heavy tails, and one normal"
    " scale must cover them. Rows with fewer iterations are slow ones: read them as lower bounds."
    " With no support at all, learners trained on one to ten shots may answer wildly (`cnp`).",
    "omniglot": "Every learner has the same short time, so the table ranks what is learned in"
    " forty seconds of one core, not what a family can reach: one row shows what six times as much"
    " does. The order is the papers' where a row costs about the same (relation, prototypical and"
    " VERSA ahead of matching, all ahead of Reptile and OML). Two differ. MAML and Meta-SGD stand"
    " below matching: a step through the convolutions costs three to six times as much, so they"
    " took a third of the outer steps. MANN stands far above its paper's: its memory here is read"
    " class by class, over a convolutional body. SNAIL, LSTM and GRU want long training; the plain"
    " networks (implicit MAML and its like) have hardly begun. The papers"
    " report metric networks 56 points ahead of nearest neighbours on pixels at 5-way 1-shot"
    " (Vinyals et al. 2016); with a tenth of their characters it is less here; at 5 shots as much.",
    "continual": "The published order holds: exact posteriors over prototypes first, then ANML, OML"
    " and scratch, each well apart. But nearest neighbours on pixels, who keep every image, and"
    " plain pre-trained features under a linear head are ahead of ANML here, after a minute of"
    " training each. The smallest step size tried suits most: a head that hardly moves ranks"
    " classes by the sum of their embeddings, in which nothing is overwritten. La-MAML is weak"
    " after so short a training; replay and EWC are plain networks with few settings tried.",
    "speed_maml": "Tasks a CPU-second, whole meta-iterations with Adam. The loop has the algorithm"
    " of learn2learn 0.2.0, which does not install on Python 3.11; `bare` is the leanest loop that"
    " can be written, with no modules at all. With convolutions the matrix products themselves take"
    " the time, and little is gained.",
}
"""What a table does not say by itself."""
