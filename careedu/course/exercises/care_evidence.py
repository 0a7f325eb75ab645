"""Exercises of notebook 02 on evidence: how many test images a gain needs, and which control could refute a claim."""

from __future__ import annotations

from careedu.course.exercises.controls import ControlExercise
from careedu.course.exercises.exercise import NumberExercise, near

# How many test images?

_CLASS, _WON = 23, 6  # images of the class in the paper's test set; images to be won, none lost, for p < .05

needed_exercise = NumberExercise(
    "needed",
    right=_CLASS * _WON,
    tolerance=0.01,
    mistakes=[
        (near(_WON, tolerance=0.001), "So many images must be won. Of how many test images are they one in 23?"),
        (
            near(_CLASS * 5, 5, tolerance=0.001),
            "With 5 images won the two-sided p is 2 · 0.5⁵ = .0625. (One-sided it would pass, but nobody knew "
            "beforehand that CARE would not lose images.)",
        ),
        (
            near(_CLASS * 4, 4, tolerance=0.001),
            "With 4 images won the two-sided p is 2 · 0.5⁴ = .125. McNemar's χ² would call that significant; so few "
            "images need the exact test.",
        ),
        (
            near(_CLASS * 7, 7, tolerance=0.001),
            "It holds there, but with one image won less already, which is 23 test images. How large is 2 · 0.5ᵏ then?",
        ),
        (
            lambda number: 138.1 < number <= 140,
            "Nearly: the shares in the table are rounded. Reckon with one image in 23.",
        ),
        (
            near(122.4, 5.322, tolerance=0.003),
            "Images come whole: round up the number of images won before you multiply.",
        ),
        (
            near(99.4, 4.322, tolerance=0.003),
            "That is one-sided, and images come whole. Two-sided the p-value is 2 · 0.5ᵏ for k images won.",
        ),
        (near(_CLASS, tolerance=0.001), "That is the test set of the paper: one image won, and p = 2 · 0.5¹ = 1."),
        (
            lambda number: number == 1,
            "That is what the paper has: one image won, and a p-value of 1. How many test images would it take?",
        ),
        (near(0.03125, 0.0625, 0.05, tolerance=0.01), "That is a p-value. Asked is a number of test images."),
        (
            near(1016, tolerance=0.06),
            "That is for two networks tested on different images. Both saw the same ones: count only those on which "
            "they disagree, which takes far fewer.",
        ),
        (
            near(2076, tolerance=0.06),
            "That is a plan for a power of 80 % with different images for each network. The question is simpler: both "
            "saw the same images, and the gain is given.",
        ),
        (lambda number: number < 0, "A number of images is not negative."),
        (lambda number: number == 0, "Without test images there is nothing to tell."),
        (lambda number: not float(number).is_integer(), "Images come whole: the answer is a count."),
        (
            lambda number: number % _CLASS == 0,
            "It is a multiple of 23, as it should be, but of another number of images won. From which k on is "
            "2 · 0.5ᵏ below .05?",
        ),
    ],
    expected="a count of test images of the class: find how many must be won first, and take 23 for each",
    praise="Six images won and none lost: p = 2 · 0.5⁶ = .031. That takes 6 · 23 = 138 test images; the paper had 23.",
    thought="This was the kindest case. If of every 23 images two are won and one is lost, the gain is the same, and "
    "it takes 322. And what does no number of test images tell you, as long as each network was trained only once?",
    hints=[
        "Images on which both networks agree say nothing. Of the others, each falls to CARE or to its rival: were "
        "there no difference, like a coin.",
        "k coins that all fall to one side: the two-sided p-value is 2 · 0.5ᵏ. Which is the smallest k with p < .05?",
        "Each image won takes 23 test images.",
    ],
    code="""
won = next(k for k in range(1, 100) if 2 * 0.5**k < 0.05)
needed = 23 * won
""",
    why="The exact sign test on the images that changed side; 5 would give .0625.",
)

# Which control?

CLAIMS = {
    "place": "What counts is that the box lies on the lesion.",
    "loss": "It is the attention loss that helps, and not the second stage of training.",
    "use": "If you have boxes, an attention loss is the best use for them.",
    "classes": "Boxes for the rare classes are enough: the common ones need none.",
}
ARMS = (
    "random boxes",
    "without attention",
    "lesion transplant",
    "boxes of all classes",
    "saliency boxes",
    "balanced sampling",
)
_RIGHT = {
    "place": "random boxes",
    "loss": "without attention",
    "use": "lesion transplant",
    "classes": "boxes of all classes",
}
_WRONG = {
    ("place", "without attention"): "It takes away the boxes and the loss together. Keep the loss, and spoil the "
    "place alone.",
    ("place", "lesion transplant"): "It uses the same place, where the lesion is, in another way. Keep the use, and "
    "spoil the place.",
    ("place", "boxes of all classes"): "There are more boxes, each still on its lesion: the place is as right as "
    "before.",
    ("place", "saliency boxes"): "Where these do well, it may be because they lie on the lesion as well. That would "
    "speak for the claim.",
    ("place", "balanced sampling"): "It knows nothing of boxes, so where they lie cannot show. If it wins, CARE has a "
    "strong rival; why CARE does what it does stays open.",
    ("loss", "random boxes"): "It has the attention loss and the second stage, both. What differs is where the boxes "
    "lie.",
    ("loss", "lesion transplant"): "It lacks both, the loss and the second stage, and has new images besides. Keep the "
    "stage, and drop the loss.",
    ("loss", "boxes of all classes"): "It has the same loss and the same stage, with more boxes.",
    ("loss", "saliency boxes"): "It has the same loss and the same stage, with boxes from another source.",
    ("loss", "balanced sampling"): "It differs in the batches, the loss and the stage at once: if it does as well, "
    "nobody knows which of them did it.",
    ("use", "random boxes"): "It puts the boxes to the same use, and spoils them first. Look for an arm that uses good "
    "boxes for something else.",
    ("use", "without attention"): "It leaves the boxes in the drawer. That shows whether CARE's use is better than "
    "none, not whether there is a better one.",
    ("use", "boxes of all classes"): "It is the same use of more boxes.",
    ("use", "saliency boxes"): "It is the same use of other boxes: it asks whether a doctor has to draw them.",
    (
        "use",
        "balanced sampling",
    ): "It needs no boxes. If it wins you may save the doctor's time, and ought to know; but "
    "the claim is about those who have boxes already.",
    ("classes", "random boxes"): "It boxes the same classes as CARE, in the wrong places.",
    ("classes", "without attention"): "It has fewer boxes, not more: it shows whether those of the rare classes help, "
    "not whether they are enough.",
    ("classes", "lesion transplant"): "It cuts out the lesions of the rare classes; what an attention loss would make "
    "of more boxes it does not tell.",
    ("classes", "saliency boxes"): "It boxes the rare classes too, with boxes found without a doctor. Who draws is "
    "another question than for which classes.",
    ("classes", "balanced sampling"): "It shows the rare classes more often, and has no box for any class.",
}
_ALIASES = {
    "shifted boxes": "random boxes",
    "boxes shifted": "random boxes",
    "all classes": "boxes of all classes",
    "transplant": "lesion transplant",
    "no attention": "without attention",
}


control_exercise = ControlExercise(
    "controls",
    claims=CLAIMS,
    arms=ARMS,
    right=_RIGHT,
    wrong=_WRONG,
    aliases=_ALIASES,
    method="care",
    praise="Each arm differs from CARE in what its claim is about. A claim that no arm could refute is not yet tested.",
    thought="Two arms are left. Which claims could saliency boxes and balanced sampling refute? And if the claim is "
    "that a map which gathers in one place has understood the disease: which arm would you look at, and would you look "
    "at its recall or at its map?",
    hints=[
        "A control differs from CARE in one thing, the thing that the claim is about. What is that thing here?",
        "Place: the same boxes, moved. Loss: the same two stages. Use: the same boxes, and no attention loss.",
        "The claim that something is enough is refuted by more of it that does better.",
    ],
    code="\n".join(["controls = {", *(f'    "{claim}": "{arm}",' for claim, arm in _RIGHT.items()), "}"]),
    why="Spoil the place, drop the loss, use the boxes otherwise, add boxes of the common classes: one change each.",
)
