"""Whatever a file says of how its numbers become brightness is heeded, or the file is refused."""

from pathlib import Path

import numpy as np
import pytest
from image_files import png16, ramp, tiff
from PIL import Image

from careedu.data.decoding import read_image, read_mask
from careedu.errors import InvalidInputError

RISING = ramp("uint8", 0, 255)


def near(pixels, wanted, by=1):
    assert np.abs(pixels.astype(int) - wanted.astype(int)).max() <= by


@pytest.mark.parametrize("top", [4095, 65535, 700])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_all_of_them(samples, top, tmp_path):
    """Also where 12 of them are used: the upper byte alone would leave 16 levels, near black."""
    pixels = np.stack([ramp("uint16", 0, top)] * samples, axis=2)
    if samples in (2, 4):
        pixels[..., -1] = 65535
    path = tmp_path / "a.png"
    png16(path, pixels)
    near(read_image(path, 1, None)[0], RISING)
    near(read_image(path, 3, None)[2], RISING)


def test_colours_of_16_bits_are_stretched_together(tmp_path):
    pixels = np.stack([ramp("uint16", 0, top) for top in (4000, 2000, 1000)], axis=2)
    png16(tmp_path / "a.png", pixels)
    image = read_image(tmp_path / "a.png", 3, None)
    near(image[:, :, -1].max(axis=1), np.array([255, 128, 64]))


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float32"])
def test_tiff_of_every_number_type_rises_as_it_should(dtype, tmp_path):
    info = np.iinfo(dtype) if dtype != "float32" else np.finfo(dtype)
    low, high = (info.min // 2, info.max // 2 * 2) if dtype != "float32" else (-3.5, 1200.25)
    tiff(tmp_path / "a.tiff", ramp("float64", low, high).astype(dtype))
    image = read_image(tmp_path / "a.tiff", 1, None)[0]
    assert (np.diff(image.astype(int), axis=1) >= 0).all() and image.min() == 0 and image.max() == 255


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_white_as_zero_is_turned_round(dtype, tmp_path):
    tiff(tmp_path / "a.tiff", ramp(dtype, 0, np.iinfo(dtype).max), white_is_zero=True)
    near(read_image(tmp_path / "a.tiff", 1, None)[0], RISING[:, ::-1])


@pytest.mark.parametrize("samples", [3, 4])
def test_a_tiff_whose_colours_are_deeper_than_they_are_read_is_refused(samples, tmp_path):
    tiff(tmp_path / "a.tiff", np.stack([ramp("uint16", 0, 4095)] * samples, axis=2))
    with pytest.raises(InvalidInputError, match=rf"{samples} samples of 16 bits.*PNG|not an image"):
        read_image(tmp_path / "a.tiff", 3, None)


def test_a_window_keeps_what_is_absolute(tmp_path):
    for i, top in enumerate((1000, 2000)):
        png16(tmp_path / f"{i}.png", ramp("uint16", 0, top)[..., None])
    first, second = (read_image(tmp_path / f"{i}.png", 1, None, (0.0, 2000.0))[0] for i in range(2))
    near(first[:, -1], np.full(24, 128))
    near(second[:, -1], np.full(24, 255))
    clipped = read_image(tmp_path / "1.png", 1, None, (500.0, 1000.0))[0]
    assert clipped.min() == 0 and clipped.max() == 255 and (clipped[:, -16:] == 255).all()


def test_a_window_holds_for_8_bits_as_well(tmp_path):
    Image.fromarray(RISING).save(tmp_path / "a.png")
    near(read_image(tmp_path / "a.png", 1, None, (0.0, 510.0))[0], RISING // 2)


def test_colours_without_brightness_are_refused(tmp_path):
    Image.new("LAB", (32, 24), (50, 128, 128)).save(tmp_path / "a.tiff")
    with pytest.raises(InvalidInputError, match=r"LAB.*RGB"):
        read_image(tmp_path / "a.tiff", 3, None)


INSIDE = np.zeros((24, 32), dtype=bool)
INSIDE[4:12, 6:20] = True


def mask_of(path: Path, lesion=None):
    return read_mask(path, 32, 24, lesion)


def levels(*values):
    """Ground 0, and the lesion in stripes of these levels."""
    mask = np.zeros((24, 32), dtype=np.int64)
    mask[INSIDE] = np.resize(values, INSIDE.sum())
    return mask


@pytest.mark.parametrize("top", [255, 4095, 65535])
def test_a_mask_of_16_bits_means_what_it_holds(top, tmp_path):
    png16(tmp_path / "a.png", (INSIDE * top).astype("uint16")[..., None])
    assert np.array_equal(mask_of(tmp_path / "a.png"), INSIDE)


def test_a_soft_mask_is_cut_at_half_of_its_range(tmp_path):
    soft = ramp("float64", 0, 65535)
    png16(tmp_path / "a.png", soft.astype("uint16")[..., None])
    assert np.array_equal(mask_of(tmp_path / "a.png"), soft > 65535 / 2)
    Image.fromarray((soft / 257).astype("uint8")).save(tmp_path / "b.png")
    assert np.array_equal(mask_of(tmp_path / "b.png"), soft // 257 > 127)


@pytest.mark.parametrize("channel", range(3))
def test_a_lesion_in_any_channel_is_seen(channel, tmp_path):
    pixels = np.zeros((24, 32, 3), dtype=np.uint8)
    pixels[INSIDE, channel] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(mask_of(tmp_path / "a.png"), INSIDE)


def test_a_lesion_in_transparency_is_seen(tmp_path):
    pixels = np.zeros((24, 32, 4), dtype=np.uint8)
    pixels[INSIDE] = (200, 0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(mask_of(tmp_path / "a.png"), INSIDE)


def test_colours_and_transparency_at_once_are_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(InvalidInputError, match="both colours and transparency"):
        mask_of(tmp_path / "a.png")


def test_a_palette_of_black_and_one_colour_is_understood(tmp_path):
    image = Image.fromarray(INSIDE.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 40, 0] + [9, 9, 9] * 254)
    image.save(tmp_path / "a.png")
    assert np.array_equal(mask_of(tmp_path / "a.png"), INSIDE)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((1,), r"lesion=\[1\]"),
        ((1, 2, 255), "1, 2, 255"),
        ((1, 2), r"0, 1, 2.*lesion=\[2\]"),
        ((85, 170, 255), "85, 170"),
        ((60, 100), "above 0"),
    ],
)
def test_levels_of_which_the_lesion_is_not_known_are_refused_and_can_be_chosen(values, words, tmp_path):
    mask = levels(*values)
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InvalidInputError, match=words):
        mask_of(tmp_path / "a.png")
    assert np.array_equal(mask_of(tmp_path / "a.png", "above 0"), INSIDE)
    assert np.array_equal(mask_of(tmp_path / "a.png", [values[-1]]), mask == values[-1])


def test_indices_of_a_palette_can_be_chosen(tmp_path):
    mask = levels(1, 2, 3)
    image = Image.fromarray(mask.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 90, 0, 0, 0, 160] + [0] * 756)
    image.save(tmp_path / "a.png")
    with pytest.raises(InvalidInputError, match="several levels"):
        mask_of(tmp_path / "a.png")
    assert np.array_equal(mask_of(tmp_path / "a.png", [2, 3]), mask >= 2)


def test_an_empty_mask_is_no_lesion_and_no_error(tmp_path):
    Image.new("L", (32, 24)).save(tmp_path / "a.png")
    assert not mask_of(tmp_path / "a.png").any()


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_a_mask_that_went_through_jpeg_is_nearly_whole(quality, tmp_path):
    Image.fromarray((INSIDE * 255).astype(np.uint8)).save(tmp_path / "a.jpg", quality=quality)
    assert (mask_of(tmp_path / "a.jpg") != INSIDE).mean() < 0.02


@pytest.mark.parametrize("colours", [((255, 0, 0), (0, 255, 0)), ((128, 0, 0), (0, 128, 0))])
def test_several_colours_are_not_merged_in_silence(colours, tmp_path):
    index = levels(1, 2)
    image = Image.fromarray(index.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, *colours[0], *colours[1]] + [0] * 759)
    image.save(tmp_path / "a.png")
    image.convert("RGB").save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        with pytest.raises(InvalidInputError, match="several levels or colours"):
            mask_of(tmp_path / name)
    assert np.array_equal(mask_of(tmp_path / "a.png", [2]), index == 2)


def test_a_mask_of_one_bit_is_chosen_by_its_own_values(tmp_path):
    Image.fromarray(INSIDE).save(tmp_path / "a.png")
    assert np.array_equal(mask_of(tmp_path / "a.png"), INSIDE) and np.array_equal(
        mask_of(tmp_path / "a.png", [1]), INSIDE
    )


def test_a_broken_png_of_16_bits_is_refused_and_does_not_end_the_program(tmp_path):
    png16(tmp_path / "a.png", np.random.default_rng(0).integers(0, 65536, (24, 32, 3)).astype("uint16"))
    content = (tmp_path / "a.png").read_bytes()
    for spoilt in (content[:900], content[:900] + bytes([content[900] ^ 255]) + content[901:]):
        (tmp_path / "a.png").write_bytes(spoilt)
        with pytest.raises(InvalidInputError, match="broken or truncated"):
            read_image(tmp_path / "a.png", 3, None)
