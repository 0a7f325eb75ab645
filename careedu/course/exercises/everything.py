"""The exercises of notebook 07: `exercise_1` and so on, in the order in which they stand here; `exercises` are all."""

from __future__ import annotations

from careedu.course.exercises.choices import ControlExercise
from careedu.course.exercises.exercise import NumberExercise, near, numbered

# What to do, by what is at hand

remedy_exercise = ControlExercise(
    "remedies",
    asked=("case", "cases"),
    given=("remedy", "remedies"),
    claims={
        "rare": (("balanced sampling", "logit adjustment"), "Labels are all there is: what needs nothing else?"),
        "plaster": ("lesion transplant", "Which remedy uses the boxes to part the lesion from what lies beside it?"),
        "labels": ("pretraining", "Which remedy learns from images of which nobody knows the class?"),
        "chest": ("mask attention", "The masks say where to look, and all images show one position."),
    },
    arms={
        "balanced sampling | class-balanced sampling": "needs labels alone, and changes how often each class is seen",
        "logit adjustment | logit adjusted": "needs labels alone, and moves the logits by the log of the class shares",
        "lesion transplant | transplant": "needs boxes or masks of rare lesions, which it pastes into other images",
        "pretraining | simclr | contrastive pretraining": "needs images without labels, many more than labelled ones",
        "mask attention | attention | mask-guided attention": "needs masks of all classes, and pools by them",
        "distractor loss": "is not shown to help in any of our comparisons",
        "generated features | acgan | gan": "is not shown to be better than class weights on the same features",
    },
    praise="Each follows from what is at hand, and each has a saved comparison behind it.",
    thought="Which of the four would you trust least on your own images, and what would you compare first to find out?",
    hints=[
        "Ask of each case: what does it have that the others lack?",
        "Unlabelled images, boxes, masks, nothing: each belongs to one remedy.",
    ],
    why="Nothing but labels: sampling. A mark and boxes: transplant. Unlabelled images: pretraining. Masks: attention.",
)

# Many methods, one table

family_exercise = NumberExercise(
    "chance",
    right=1 - 0.95**20,
    tolerance=0.006,
    mistakes={
        "That is 20 · .05, how many are expected. A chance of 1 would mean: always one.": near(1.0, 100.0),
        "That is the chance that *none* is called different. Asked is the chance of at least one.": near(0.3585, 35.85),
        "That is the chance for one method. There are 20 of them.": near(0.05, 5.0),
        "That is the level for each method that would mend it (.05/20). What happens without it?": near(0.0025, 0.25),
        "Right, in percent. Give it as a share.": near(64.15, 64.0, 64.2, tolerance=0.005),
    },
    expected="a chance between 0 and 1",
    praise="Nearly two in three. A table of twenty methods without a correction finds something, whatever is true.",
    thought="Holm's correction keeps this chance below .05. What does it cost a method that is truly better?",
    hints=[
        "What is the chance that one method of no worth is *not* called different?",
        "That none of 20 independent ones is, has a chance of .95 to the power of 20.",
    ],
    code="chance = 1 - 0.95**20",
    why="None of twenty is called different with chance .95²⁰ = .36.",
)

# How many patients are there?

patients_exercise = NumberExercise(
    "patients_worth",
    right=40**2 / (12**2 + 7 * 4**2),
    tolerance=0.01,
    mistakes={
        "That is the number of images. Those of one patient are alike, so they tell less.": near(40),
        "That is the number of patients. It would be right if each had as many images as the others.": near(8),
        "That is the other way round: Σ m² over (Σ m)².": near(0.16),
        "The images are squared and added, Σ m² = 256. What is that to be compared with?": near(256, 1600),
        "That is the root of it. Compare the squares.": near(2.5),
    },
    expected="a number of patients between 1 and 8, the effective number (Σ m)² / Σ m²",
    praise="One patient with many images counts for less than their number says: 8 patients tell as much as 6¼.",
    thought="You may ask for ten more images. Would you take them from the patient who has twelve, or from new ones?",
    hints=[
        "m are the images of each patient: Σ m = 40, and Σ m² = 12² + 7 · 4².",
        "Divide the square of the sum, 40², by the sum of the squares.",
    ],
    code="patients_worth = 40**2 / (12**2 + 7 * 4**2)",
    why="1600 / 256 = 6.25, the effective number of groups that careedu's intervals count by.",
)

exercises = numbered(globals())
