"""What notebook 02 says of saliency on brain MRI: its boxes miss the tumours."""

from __future__ import annotations

import pytest
from torchvision.ops import box_iou

from careedu.course.experiments import experiment
from careedu.course.experiments.experiment import BRAIN
from careedu.methods.boxes import lesion_boxes


@pytest.mark.real
@pytest.mark.slow
def test_saliency_boxes_miss_the_tumours(real_data, capsys):
    assert experiment("02-brain-tumor").data == BRAIN
    train = experiment("02-brain-tumor").load().train
    rows = ((train.labels == train.classes.index("meningioma")) & train.has_box).nonzero()[:, 0]
    assert len(rows) == BRAIN["counts"]["meningioma"]
    for kind in ("spectral-residual", "minimum-barrier"):
        overlap = box_iou(lesion_boxes(train.images[rows], kind), train.boxes[rows]).diagonal().nan_to_num()
        with capsys.disabled():
            print(f"\n{kind}: median overlap {overlap.median():.3f}, largest {overlap.max():.2f}")
        assert overlap.median() < 0.1
