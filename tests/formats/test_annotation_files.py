"""Annotation files of other programs: what is read from them, and what is not used, with a word."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.splits import Part
from fetalstudio.formats.annotations import via
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.pictures.picture_files import encode_png, read_samples, write_png
from fetalstudio.formats.reading.frame_reading import FrameContent, read_content
from fetalstudio.formats.sources import read_source
from fetalstudio.formats.writing.exported_frames import ExportedFrame, ExportedPair
from tests.doubtful import said_of

SIZE = (320, 240)
HEAD = Ellipse(150.3, 118.6, 92.4, 70.2, 31.0)


def speckle(seed: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(20, 220, (size[1], size[0])).astype(np.uint8)


def away(one: Ellipse | None, other: Ellipse) -> float:
    """The largest distance between two outlines' boxes, in px."""
    assert one is not None
    boxes = np.array([one.box(), other.box()])
    return float(max(np.abs(boxes[0] - boxes[1]).max(), abs(one.a - other.a), abs(one.b - other.b)))


def points(ellipse: Ellipse = HEAD, n: int = 60) -> NDArray[np.float64]:
    """As annotation tools count: from the corner of the picture."""
    return ellipse.contour(n) + 0.5


def flat(ellipse: Ellipse = HEAD, n: int = 60) -> list[float]:
    return [float(v) for v in points(ellipse, n).ravel()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one frame."""
    made = tmp_path / "clinic"
    write_png(made / "images" / "a.png", speckle())
    return made


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")


def read_one(source: Path, **options: Any) -> tuple[FrameContent, str]:
    """The frame of a source, and all that is said about it."""
    found = read_source(source, **options)
    (record,) = found.records
    content = read_content(record)
    return content, "\n".join(found.problems + said_of(content))


def coco_of(*shapes: Mapping[str, Any], name: str = "a.png", **image: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": name, "width": SIZE[0], "height": SIZE[1], **image}],
        "annotations": [
            {"id": i, "image_id": 7, "category_id": 1, "iscrowd": 0, **shape}
            for i, shape in enumerate(shapes)
        ],
        "categories": [{"id": 1, "name": "fetal head"}, {"id": 2, "name": "abdomen"}],
    }


def labelme_of(*shapes: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [
            {"label": "head", "group_id": None, "shape_type": "polygon", "flags": {}, **shape}
            for shape in shapes
        ],
        "imagePath": "a.png",
        "imageData": None,
        "imageHeight": SIZE[1],
        "imageWidth": SIZE[0],
        **keys,
    }


def rows_of(mask: NDArray[np.uint8]) -> list[int]:
    """Run lengths along the rows, of 0 and 1 in turns, the first of 0."""
    values = np.concatenate([[0], mask.ravel(), [2]])
    ends = np.flatnonzero(np.diff(values))
    lengths = np.diff(np.concatenate([[0], ends])).tolist()
    return [int(n) for n in lengths] if mask.ravel()[0] == 0 else [0, *map(int, lengths)]


# -- files as the programs write them ----------------------------------------------------------


def mask_of(ellipse: Ellipse = HEAD) -> NDArray[np.uint8]:
    return ellipse.mask(SIZE)


def coco_columns() -> dict[str, Any]:
    counts = rows_of(np.ascontiguousarray(mask_of().T))
    return {"segmentation": {"size": [SIZE[1], SIZE[0]], "counts": counts}, "iscrowd": 1}


def coco_text() -> dict[str, Any]:
    coded = coco_mask.encode(np.asfortranarray(mask_of()))
    return {"segmentation": {"size": coded["size"], "counts": coded["counts"].decode()}}


def labelme_mask() -> dict[str, Any]:
    x0, y0, x1, y1 = (round(v) for v in HEAD.box())
    part = mask_of()[y0 - 1 : y1 + 2, x0 - 1 : x1 + 2]
    picture = base64.b64encode(encode_png(part * np.uint8(255))).decode()
    corners = [[x0 - 1, y0 - 1], [x0 - 2 + part.shape[1], y0 - 2 + part.shape[0]]]
    return {"shape_type": "mask", "points": corners, "mask": picture}


def cvat_of(inner: str, size: tuple[int, int] = SIZE) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task>'
        "<labels><label><name>head</name><color>#fa3253</color></label></labels></task></meta>"
        f'<image id="0" name="a.png" subset="Train" width="{size[0]}" height="{size[1]}">{inner}'
        "</image></annotations>"
    )


def cvat_ellipse() -> str:
    return cvat_of(
        f'<ellipse label="head" source="manual" occluded="0" cx="{HEAD.cx + 0.5}" '
        f'cy="{HEAD.cy + 0.5}" rx="{HEAD.b}" ry="{HEAD.a}" '
        f'rotation="{HEAD.angle_deg - 90 + 360}" z_order="0"></ellipse>'
    )


def cvat_polygon() -> str:
    listed = ";".join(f"{x:.2f},{y:.2f}" for x, y in points())
    return cvat_of(f'<polygon label="head" source="manual" occluded="0" points="{listed}"/>')


def cvat_mask() -> str:
    part = mask_of()[40:210, 50:260]
    runs = ", ".join(map(str, rows_of(np.ascontiguousarray(part))))
    return cvat_of(
        f'<mask label="head" source="manual" occluded="0" rle="{runs}" left="50" top="40" '
        f'width="{part.shape[1]}" height="{part.shape[0]}" z_order="0"></mask>'
    )


def voc_of(inner: str, size: tuple[int, int] = SIZE) -> str:
    return (
        "<annotation><folder>images</folder><filename>a.png</filename><path>C:\\data\\a.png</path>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>1</depth></size>"
        f"<segmented>0</segmented><object><name>head</name>{inner}</object></annotation>"
    )


def voc_polygon() -> str:
    listed = "".join(
        f"<x{i}>{x:.2f}</x{i}><y{i}>{y:.2f}</y{i}>" for i, (x, y) in enumerate(points(), start=1)
    )
    return voc_of(f"<polygon>{listed}</polygon>")


def voc_box() -> str:
    x0, y0, x1, y1 = (round(v) + 1 for v in HEAD.box())
    return voc_of(
        f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
    )


def yolo_polygon() -> str:
    return "0 " + " ".join(f"{v:.6f}" for v in (points() / SIZE).ravel()) + "\n"


def label_studio_of(*values: Mapping[str, Any], url: str = "/data/upload/1/1f3ab29c-a.png") -> Any:
    results = [
        {
            "id": f"r{i}",
            "type": next((k for k in value if k.endswith("labels")), "ellipse"),
            "from_name": "label",
            "to_name": "image",
            "original_width": SIZE[0],
            "original_height": SIZE[1],
            "image_rotation": 0,
            "value": value,
        }
        for i, value in enumerate(values)
    ]
    annotation = {"id": 3, "result": results, "was_cancelled": False, "completed_by": 1}
    return [{"id": 1, "data": {"image": url}, "annotations": [annotation], "predictions": []}]


LS_ELLIPSE = {
    "x": 100 * (HEAD.cx + 0.5) / SIZE[0],
    "y": 100 * (HEAD.cy + 0.5) / SIZE[1],
    "radiusX": 100 * HEAD.a / SIZE[0],
    "radiusY": 100 * HEAD.b / SIZE[1],
    "rotation": HEAD.angle_deg,
    "ellipselabels": ["Head"],
}


def brush() -> list[int]:
    """Coded in the simplest way that the format allows: each run of samples as it is."""
    samples = np.repeat(mask_of().ravel() * np.uint8(255), 4)
    bits = f"{len(samples):032b}" + f"{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 8, 12, 16))
    edges = np.flatnonzero(np.diff(samples.astype(int))) + 1
    runs = np.split(samples, edges)
    for number, run in enumerate(runs):
        for i in range(0, len(run), 60_000):
            part = run[i : i + 60_000]
            if number % 7 == 3 and len(part) <= 4096:  # also runs that are not of one value
                bits += "0" + f"{2:02b}" + f"{len(part) - 1:012b}"
                bits += "".join(f"{int(v):08b}" for v in part)
            else:
                bits += "1" + f"{3:02b}" + f"{len(part) - 1:016b}" + f"{int(part[0]):08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def via_of(shape: Mapping[str, Any]) -> dict[str, Any]:
    region = {"shape_attributes": shape, "region_attributes": {"name": "head"}}
    picture = {"filename": "a.png", "size": 123, "regions": [region], "file_attributes": {}}
    return {"_via_settings": {}, "_via_img_metadata": {"a.png123": picture}}


def via_csv_of(delimiter: str) -> str:
    """As VIA exports it, and as Excel saves it again."""
    lines: list[Any] = [VIA_COLUMNS]
    for number, shape in enumerate((VIA_ELLIPSE, {"name": "point", "cx": 9, "cy": 9})):
        cells = (json.dumps(shape), json.dumps({"name": "head"}))
        lines.append(("a.png", 123, "{}", 2, number, *cells))
    lines.append(("b.png", 99, "{}", 0, 0, "{}", "{}"))
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(lines)
    return text.getvalue()


VIA_COLUMNS = (
    *("filename", "file_size", "file_attributes", "region_count", "region_id"),
    *("region_shape_attributes", "region_attributes"),
)
VIA_ELLIPSE = {
    "name": "ellipse",
    "cx": HEAD.cx + 0.5,
    "cy": HEAD.cy + 0.5,
    "rx": HEAD.a,
    "ry": HEAD.b,
    "theta": math.radians(HEAD.angle_deg),
}

EXACT: Mapping[str, tuple[str, Callable[[], Any], float]] = {
    "coco polygon": ("i.json", lambda: coco_of({"segmentation": [flat()]}), 0.05),
    "coco counts": ("i.json", lambda: coco_of(coco_columns()), 0.3),
    "coco text": ("i.json", lambda: coco_of(coco_text()), 0.3),
    "labelme polygon": ("images/a.json", lambda: labelme_of({"points": points().tolist()}), 0.05),
    "labelme mask": ("images/a.json", lambda: labelme_of(labelme_mask()), 0.3),
    "cvat ellipse": ("annotations.xml", cvat_ellipse, 0.01),
    "cvat polygon": ("annotations.xml", cvat_polygon, 0.05),
    "cvat mask": ("annotations.xml", cvat_mask, 0.3),
    "voc polygon": ("Annotations/a.xml", voc_polygon, 0.05),
    "yolo polygon": ("labels/a.txt", yolo_polygon, 0.05),
    "label studio ellipse": ("e.json", lambda: label_studio_of(LS_ELLIPSE), 0.01),
    "label studio polygon": (
        "e.json",
        lambda: label_studio_of(
            {"points": (100 * points() / SIZE).tolist(), "polygonlabels": ["head"]}
        ),
        0.05,
    ),
    "label studio brush": (
        "e.json",
        lambda: label_studio_of({"format": "rle", "rle": brush(), "brushlabels": ["head"]}),
        0.3,
    ),
    "label studio min": (
        "e.json",
        lambda: [
            {
                "image": "/data/local-files/?d=clinic/images/a.png",
                "id": 1,
                "label": [{**LS_ELLIPSE, "original_width": SIZE[0], "original_height": SIZE[1]}],
            }
        ],
        0.01,
    ),
    "via ellipse": ("via.json", lambda: via_of(VIA_ELLIPSE), 0.01),
    "via csv": ("via_export_csv.csv", lambda: via_csv_of(","), 0.01),
    "via csv by excel": ("via_export_csv.csv", lambda: via_csv_of(";"), 0.01),
    "via polygon": (
        "via.json",
        lambda: via_of(
            {
                "name": "polygon",
                "all_points_x": points()[:, 0].tolist(),
                "all_points_y": points()[:, 1].tolist(),
            }
        ),
        0.05,
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_the_outlines_of_each_program_are_read(source: Path, name: str) -> None:
    file, content, tolerance = EXACT[name]
    write(source / file, content())
    found, said = read_one(source)
    assert said == ""
    assert away(found.ellipse, HEAD) < tolerance and found.certain


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("i.json", lambda: coco_of({"bbox": [58, 45, 185, 148]})),
        ("Annotations/a.xml", voc_box),
        ("labels/a.txt", lambda: "0 0.47 0.497 0.578 0.615\n"),
        ("images/a.json", lambda: labelme_of(
            {"shape_type": "rectangle", "points": [[58, 45], [243, 193]]}
        )),
        ("images/a.json", lambda: labelme_of(
            {"shape_type": "rotation", "points": [[58, 45], [243, 45], [243, 193], [58, 193]]}
        )),
        ("labels/a.txt", lambda: "0 0.2 -0.05 0.8 -0.05 0.8 0.75 0.2 0.75\n"),
        ("a.xml", lambda: cvat_of('<box label="head" xtl="58" ytl="45" xbr="243" ybr="193"/>')),
        ("e.json", lambda: label_studio_of(
            {"x": 18, "y": 19, "width": 58, "height": 61, "rectanglelabels": ["head"]}
        )),
    ],
)  # fmt: skip
def test_a_box_is_never_more_than_a_proposal(
    source: Path, file: str, content: Callable[[], Any]
) -> None:
    write(source / file, content())
    found, said = read_one(source)
    assert found.ellipse is not None and not found.certain
    assert f"{source / file}: it is a box" in said and "proposal" in said


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("i.json", lambda: coco_of({"segmentation": [flat()], "score": 0.93})),
        ("images/a.json", lambda: labelme_of({"points": points().tolist(), "score": 0.5})),
        ("a.xml", lambda: cvat_of(
            '<ellipse label="head" source="auto" cx="150.8" cy="119.1" rx="92.4" ry="70.2" '
            'rotation="31"/>'
        )),
    ],
)  # fmt: skip
def test_what_a_model_drew_is_never_more_than_a_proposal(
    source: Path, file: str, content: Callable[[], Any]
) -> None:
    write(source / file, content())
    found, said = read_one(source)
    assert away(found.ellipse, HEAD) < 0.1 and not found.certain
    assert f"{source / file}: a model drew it" in said


def test_predictions_in_label_studio_count_where_nobody_drew(source: Path) -> None:
    (task,) = label_studio_of(LS_ELLIPSE)
    drawn = task["annotations"]
    for made in ([], [{**drawn[0], "was_cancelled": True}], drawn):
        other = [{"result": drawn[0]["result"], "score": 0.8}]
        write(source / "e.json", [{**task, "annotations": made, "predictions": other}])
        found, said = read_one(source)
        assert (found.ellipse is None) == (made not in ([], drawn))
        assert ("a model drew it" in said) == (made == [])
        assert found.certain == (made != [])


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("e.json", lambda: turned_in_label_studio(90), "turned in Label Studio"),
        ("v.json", lambda: via_of({"name": "ellipse", "cx": 150, "cy": 119, "rx": 92, "ry": 70,
         "theta": 31}), "its angle of 31 may be in degrees"),
    ],
)  # fmt: skip
def test_numbers_that_may_mean_something_else_make_a_proposal(
    source: Path, file: str, content: Callable[[], Any], why: str
) -> None:
    write(source / file, content())
    found, said = read_one(source)
    assert found.ellipse is not None and not found.certain and why in said


def turned_in_label_studio(angle: int) -> Any:
    (task,) = label_studio_of(LS_ELLIPSE)
    for item in task["annotations"][0]["result"]:
        item["image_rotation"] = angle
    return [task]


def test_a_score_that_is_not_set_is_no_models(source: Path) -> None:
    write(source / "images/a.json", labelme_of({"points": points().tolist(), "score": None}))
    found, said = read_one(source)
    assert found.certain and said == ""


def test_labels_of_yolo_with_a_mark_of_their_encoding(source: Path) -> None:
    write(source / "labels/a.txt", "\ufeff" + yolo_polygon())
    found, said = read_one(source)
    assert away(found.ellipse, HEAD) < 0.1 and said == ""
    (source / "labels/a.txt").write_bytes(yolo_polygon().encode("utf-16"))
    found, said = read_one(source)
    assert found.ellipse is None
    assert f"1 text in UTF-16 ({Path('labels', 'a.txt')})" in said


@pytest.mark.parametrize("name", ["i.json", "a.xml"])
def test_an_empty_file_is_named(source: Path, name: str) -> None:
    write(source / name, "")
    _, said = read_one(source)
    assert f"1 empty {Path(name).suffix} ({name}). Copy or export" in said


def test_the_circle_of_labelme(source: Path) -> None:
    write(
        source / "images" / "a.json",
        labelme_of({"shape_type": "circle", "points": [[150.5, 120.5], [210.5, 120.5]]}),
    )
    found, said = read_one(source)
    assert said == "" and away(found.ellipse, Ellipse(150, 120, 60, 60, 0)) < 0.01


def test_shapes_of_one_group_are_one_outline(source: Path) -> None:
    whole = points(n=200)
    halves = [whole[whole[:, 0] < 151], whole[whole[:, 0] > 149]]
    shapes = [{"points": half.tolist(), "group_id": 4} for half in halves]
    write(source / "images" / "a.json", labelme_of(*shapes))
    found, said = read_one(source)
    assert said == "" and away(found.ellipse, HEAD) < 1.5


# -- which is the head -------------------------------------------------------------------------


def two_labels(one: str, other: str) -> dict[str, Any]:
    small = Ellipse(250, 60, 30, 20, 0)
    return labelme_of(
        {"label": one, "points": points().tolist()},
        {"label": other, "points": points(small).tolist()},
    )


@pytest.mark.parametrize(
    "name",
    ["head", "Fetal_Head", "HC", "skull", "Kopf", "Cabeza fetal", "T\u00eate", "cabe\u00e7a"],
)
def test_the_head_is_known_by_its_name(source: Path, name: str) -> None:
    write(source / "images" / "a.json", two_labels(name, "cavum septi pellucidi"))
    found, said = read_one(source)
    assert said == "" and away(found.ellipse, HEAD) < 0.05


def test_which_label_is_the_head_is_asked(source: Path) -> None:
    write(source / "images" / "a.json", two_labels("caput", "abdomen"))
    found, said = read_one(source)
    assert found.ellipse is None
    assert "'abdomen', 'caput'" in said and "--head-label" in said
    assert read_source(source).labels == ("abdomen", "caput")
    found, said = read_one(source, head_label="Caput")
    assert said == "" and away(found.ellipse, HEAD) < 0.05
    found, said = read_one(source, head_label="brain")
    assert found.ellipse is None and "nothing in it is labelled 'brain'" in said


def test_a_single_label_is_the_head_only_if_it_may_be(source: Path) -> None:
    shape = {"points": points().tolist()}
    write(source / "images" / "a.json", labelme_of({**shape, "label": "object"}))
    assert read_one(source)[1] == ""
    write(source / "images" / "a.json", labelme_of({**shape, "label": "abdomen"}))
    found, said = read_one(source)
    assert found.ellipse is None and "'abdomen'" in said


def test_the_classes_of_yolo_have_the_names_of_its_data_file(source: Path) -> None:
    write(source / "labels" / "a.txt", "1" + yolo_polygon()[1:] + "0 .7 .2 .8 .2 .8 .3 .7 .3\n")
    found, said = read_one(source)
    assert found.ellipse is None and "'0', '1'" in said
    assert away(read_one(source, head_label="1")[0].ellipse, HEAD) < 0.05
    write(source / "data.yaml", "nc: 2\nnames: ['stomach', 'head']\n")
    assert away(read_one(source)[0].ellipse, HEAD) < 0.05
    write(source / "data.yaml", "names:\n  0: stomach\n  1: fetal head\n")
    assert away(read_one(source)[0].ellipse, HEAD) < 0.05


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "names: " + "{a: " * 200 + "1" + "}" * 200,
        "a0: &a0 [head]\n"
        + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
        + "names: [*a39]\n",
        "a0: &a0 {b: head}\n"
        + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30))
        + "names: *a29\n",
    ],
)
def test_a_data_file_of_yolo_that_would_grow_without_end(source: Path, text: str) -> None:
    write(source / "labels" / "a.txt", "1" + yolo_polygon()[1:])
    write(source / "data.yaml", text)
    begun = time.monotonic()
    found, said = read_one(source)
    assert found.ellipse is None or said == ""
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", labelme_of({"shape_type": "linestrip", "points": points().tolist()})),
        ("a.json", labelme_of({"shape_type": "line", "points": [[1, 2], [3, 4]]})),
        ("a.xml", cvat_of('<polyline label="head" points="1,2;3,4"/>')),
        (
            "a.xml",
            "<annotation><filename>a.png</filename><object><name>head</name></object></annotation>",
        ),
    ],
)
def test_what_is_no_outline_is_named(source: Path, name: str, content: Any) -> None:
    write(source / name, content)
    found, said = read_one(source)
    assert found.ellipse is None and "is no outline and was not used" in said and name in said


def test_the_polygons_of_labelme_on_the_web(source: Path) -> None:
    corners = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in points().tolist())
    objects = (
        f"<object><name>head</name><deleted>{n}</deleted><polygon>{corners}</polygon></object>"
        for n in (0, 1)
    )
    text = f"<annotation><filename>a.png</filename>{''.join(objects)}</annotation>"
    write(source / "a.xml", text)
    content, said = read_one(source)
    assert away(content.ellipse, HEAD) < 0.05 and said == ""


@pytest.mark.parametrize("turn", [0.0, 1.0])
def test_a_polygon_that_is_a_rectangle_is_a_box(source: Path, turn: float) -> None:
    """As YOLO's oriented boxes are."""
    upright = Ellipse(HEAD.cx, HEAD.cy, HEAD.a, HEAD.b, HEAD.angle_deg * turn)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (upright.a, upright.b) @ upright.axes
    shares = (corners + np.array([upright.cx + 0.5, upright.cy + 0.5])) / np.array(SIZE)
    write(source / "labels" / "a.txt", "0 " + " ".join(f"{v:.7f}" for v in shares.ravel()))
    content, said = read_one(source)
    assert away(content.ellipse, upright) < 0.05 and not content.certain and "it is a box" in said


def test_a_file_that_is_named_after_another_frame_is_not_used(source: Path) -> None:
    write_png(source / "images" / "b.png", speckle(2))
    other = labelme_of({"points": points().tolist()}, imagePath="b.png")
    write(source / "images" / "a.json", other)
    found = read_source(source)
    assert all(read_content(record).ellipse is None for record in found.records)
    (problem,) = found.problems
    assert "a.json is named after a.png, but says that it is about b.png" in problem


def test_two_outlines_of_one_head_are_named_and_none_is_used(source: Path) -> None:
    moved = Ellipse(HEAD.cx + 20, HEAD.cy, HEAD.a, HEAD.b, HEAD.angle_deg)
    shapes = [{"segmentation": [flat()]}, {"segmentation": [flat(moved)]}]
    write(source / "i.json", coco_of(*shapes))
    found, said = read_one(source)
    assert found.ellipse is None
    assert str(source / "i.json") in said and "several different outlines" in said
    write(source / "i.json", coco_of(shapes[0], shapes[0]))
    assert read_one(source)[1] == ""


def test_files_that_contradict_each_other(source: Path) -> None:
    moved = Ellipse(HEAD.cx + 20, HEAD.cy, HEAD.a, HEAD.b, HEAD.angle_deg)
    write(source / "i.json", coco_of({"segmentation": [flat()]}))
    write(source / "images" / "a.json", labelme_of({"points": points(moved).tolist()}))
    found, said = read_one(source)
    assert found.ellipse is None and "i.json" in said and "a.json" in said
    (source / "i.json").unlink()
    write(source / "a.xml", cvat_ellipse())
    found, said = read_one(source)
    assert away(found.ellipse, HEAD) < 0.01, "an exact ellipse counts before a polygon"
    assert "a.xml" in said and "a.json" in said and "different ellipses" in said


# -- beside masks and tables -------------------------------------------------------------------


def test_an_outline_counts_before_a_mask_and_a_table_before_both(source: Path) -> None:
    write(source / "i.json", coco_of({"segmentation": [flat()]}))
    write_png(source / "masks" / "a.png", HEAD.mask(SIZE) * np.uint8(255))
    assert read_one(source)[1] == ""
    other = Ellipse(130, 118, 92, 70, 31)
    write_png(source / "masks" / "a.png", other.mask(SIZE) * np.uint8(255))
    found, said = read_one(source)
    assert away(found.ellipse, HEAD) < 0.05
    assert f"{source / 'i.json'}: it and {source / 'masks' / 'a.png'} show different" in said
    assert not found.certain
    write(source / "t.csv", "name,cx,cy,a,b,angle_deg,subject\na.png,150.3,118.6,92.4,70.2,31,P7\n")
    found, said = read_one(source)
    assert found.ellipse == HEAD and "masks" in said
    (record,) = read_source(source).records
    assert record.subject == "P7"


def test_a_mask_counts_before_a_box(source: Path) -> None:
    write(source / "Annotations" / "a.xml", voc_box())
    write_png(source / "SegmentationClass" / "a.png", mask_of(), palette=bytes(range(9)))
    found, said = read_one(source)
    assert said == "" and found.certain and away(found.ellipse, HEAD) < 0.3


def test_the_stated_format_alone_is_read(source: Path) -> None:
    moved = Ellipse(HEAD.cx + 20, HEAD.cy, HEAD.a, HEAD.b, HEAD.angle_deg)
    write(source / "i.json", coco_of({"segmentation": [flat()]}))
    write(source / "images" / "a.json", labelme_of({"points": points(moved).tolist()}))
    found, said = read_one(source, format="coco")
    assert away(found.ellipse, HEAD) < 0.05
    assert f"Not read: 1 labelme json ({Path('images', 'a.json')})" in said
    assert "Import without a stated format" in said


# -- which frame -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "stated"),
    [
        ("a.png", "C:\\Users\\me\\scans\\a.png"),
        ("a.png", "../../../../etc/a.png"),
        ("a.png", "/etc/a.png"),
        ("a.png", "A.PNG"),
        ("a b.png", "a%20b.png"),
        ("\u00e9.png", "e\u0301.png"),
        ("a.png", "a.jpg"),
    ],
)
def test_pictures_are_found_by_their_names(tmp_path: Path, frame: str, stated: str) -> None:
    write_png(tmp_path / "images" / frame, speckle())
    write(tmp_path / "i.json", coco_of({"segmentation": [flat()]}, name=stated))
    found, said = read_one(tmp_path)
    assert said == "" and away(found.ellipse, HEAD) < 0.05


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    heads = {"train": HEAD, "val": Ellipse(160, 120, 80, 60, 10)}
    for i, (part, head) in enumerate(heads.items()):
        write_png(tmp_path / "images" / part / "a.png", speckle(i))
        text = "0 " + " ".join(f"{v:.6f}" for v in (points(head) / SIZE).ravel())
        write(tmp_path / "labels" / part / "a.txt", text)
    found = read_source(tmp_path)
    assert found.problems == ()
    assert [record.part for record in found.records] == ["train", "validation"]
    for record, head in zip(found.records, heads.values(), strict=True):
        assert away(read_content(record).ellipse, head) < 0.05


def test_an_annotation_that_fits_several_frames_or_none_is_named(tmp_path: Path) -> None:
    for i, folder in enumerate("xy"):
        write_png(tmp_path / folder / "a.png", speckle(i))
    both = coco_of({"segmentation": [flat()]})
    both["images"].append({"id": 8, "file_name": "gone.png", "width": 320, "height": 240})
    both["annotations"].append({**both["annotations"][0], "image_id": 8})
    write(tmp_path / "i.json", both)
    found = read_source(tmp_path)
    said = "\n".join(found.problems)
    assert "annotates a.png, and several frames are called so" in said
    assert "annotates gone.png: no such frame is there" in said
    assert all(read_content(record).ellipse is None for record in found.records)


def test_labels_beside_a_folder_of_images(tmp_path: Path) -> None:
    write_png(tmp_path / "images" / "a.png", speckle())
    write(tmp_path / "labels" / "a.txt", yolo_polygon())
    found, said = read_one(tmp_path / "images")
    assert said == "" and away(found.ellipse, HEAD) < 0.05


# -- sizes and orientation ---------------------------------------------------------------------


def test_pictures_of_one_name_in_a_csv_of_via_are_told_apart_by_their_size(tmp_path: Path) -> None:
    first = via_csv_of(",").splitlines()
    again = first[1].replace("a.png,123", "a.png,456")
    text = "\r\n".join((*first, again))
    found = via.read(tmp_path / "via_export_csv.csv", text.encode())
    assert found is not None
    assert [(picture.name, len(picture.shapes)) for picture in found] == [
        ("a.png", 1),
        ("b.png", 0),
        ("a.png", 1),
    ]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("i.json", lambda: coco_of({"segmentation": [flat()]}, width=640, height=480)),
        ("images/a.json", lambda: labelme_of({"points": points().tolist()}, imageWidth=640)),
        ("a.xml", lambda: cvat_ellipse().replace('"320"', '"640"')),
        ("a.xml", lambda: voc_box().replace("<width>320", "<width>640")),
    ],
)  # fmt: skip
def test_an_outline_on_another_size_is_refused(
    source: Path, file: str, content: Callable[[], Any]
) -> None:
    write(source / file, content())
    found, said = read_one(source)
    assert found.ellipse is None
    assert "it is on a picture of 640x" in said and str(source / file) in said


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_pictures(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(speckle())
    (tmp_path / "images").mkdir()
    stored.save(tmp_path / "images" / "a.jpg", exif=exif, quality=95)
    marked = Image.fromarray(mask_of() * np.uint8(255))
    marked.save(tmp_path / "marked.png", exif=exif)
    turned = Ellipse.from_mask(read_samples(tmp_path / "marked.png")[0])
    (tmp_path / "marked.png").unlink()

    drawn_before = coco_of({"segmentation": [flat()]}, name="a.jpg")
    write(tmp_path / "i.json", drawn_before)
    found, said = read_one(tmp_path)
    if orientation >= 5:
        assert said == "" and away(found.ellipse, turned) < 0.3
        after = coco_of({"segmentation": [flat(turned)]}, name="a.jpg", width=240, height=320)
        write(tmp_path / "i.json", after)
        found, said = read_one(tmp_path)
        assert said == "" and away(found.ellipse, turned) < 0.05
    else:
        assert not found.certain and "turned by its orientation tag" in said


# -- shapes in doubt ---------------------------------------------------------------------------


def test_a_polygon_that_is_no_ellipse_is_a_proposal(source: Path) -> None:
    t = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    wavy = 70 * (1 + 0.12 * np.cos(5 * t))
    shape = np.column_stack([160 + 1.2 * wavy * np.cos(t), 120 + wavy * np.sin(t)])
    write(source / "images" / "a.json", labelme_of({"points": shape.tolist()}))
    found, said = read_one(source)
    assert found.ellipse is not None and not found.certain
    assert "an ellipse does not describe it" in said


def test_a_head_that_the_border_cuts(source: Path) -> None:
    cut = Ellipse(150, 60, 92, 70, 20)
    polygon = np.clip(points(cut, 200), 0, np.array(SIZE))
    write(source / "images" / "a.json", labelme_of({"points": polygon.tolist()}))
    found, said = read_one(source)
    assert said == "" and away(found.ellipse, cut) < 1


def put_together(what: str, **other: Any) -> dict[str, Any]:
    """Two files of COCO in one, whose ids were not made different."""
    found = coco_of({"segmentation": [flat()]})
    found[what].insert(1, {**found[what][0], **other})
    return found


@pytest.mark.parametrize(
    ("file", "content", "cause"),
    [
        ("i.json", '{"images": [{"file_name": "a.png"}], "annotations": []}', "lacks what COCO"),
        ("i.json", '{"images": [], "annotations": [', "cannot be used"),
        ("i.json", json.dumps(coco_of({"segmentation": [[1, 2, 3]]})), "odd number"),
        ("i.json", json.dumps(coco_of({"segmentation": [[1, 2, 3, "x", 5, 6]]})), "x"),
        ("i.json", json.dumps(coco_of({"segmentation": [[1, 1, 1e9, 1, 1, 1e9]]})), "far beyond"),
        (
            "i.json",
            json.dumps(coco_of({"segmentation": {"size": [9999, 9999], "counts": "PPYo0"}})),
            "of the size",
        ),
        (
            "i.json",
            json.dumps(coco_of({"segmentation": {"size": [240, 320], "counts": "\u007f" * 99}})),
            "damaged",
        ),
        (
            "i.json",
            json.dumps(coco_of({"segmentation": {"size": [240, 320], "counts": [5, 10**12]}})),
            "no numbers of pixels",
        ),
        (
            "i.json",
            json.dumps(coco_of({"segmentation": [[0, 0, 320, 240, 0, 240, 320, 0] * 5000]})),
            "far too long",
        ),
        ("i.json", '{"categories": [], "images": ' + "[" * 100_000, "nested too deeply"),
        ("images/a.json", json.dumps(labelme_of({"points": [[1, 2], [3, 4]]})), "three points"),
        ("images/a.json", '{"shapes": [{"points": [[NaN, 1]]}]}', "NaN"),
        ("a.xml", "<annotations><image", "not XML"),
        (
            "a.xml",
            '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>',
            "declares entities",
        ),
        ("a.xml", "<annotations>" + "<x>" * 100_000, "nested too deeply"),
        ("a.xml", cvat_of('<ellipse label="head" cx="x"/>'), "cx of ellipse"),
        ("a.xml", cvat_of('<mask label="head" rle="1,1" left="0" top="0" width="9" height="9"/>'),
         "do not cover"),
        ("labels/a.txt", yolo_polygon() + "0 5 5 6 6 7 7\n", "line 2"),
        ("labels/a.txt", "x .1\n" + yolo_polygon(), "line 1 is no class"),
        ("i.json", json.dumps(coco_of({"segmentation": [flat()], "image_id": 8})), "not list"),
        ("i.json", json.dumps(put_together("images", file_name="b.png")),
         "images 'a.png' and 'b.png' have one id, 7"),
        ("i.json", json.dumps(put_together("categories", name="abdomen")),
         "categories 'fetal head' and 'abdomen' have one id, 1"),
        ("e.json", json.dumps(label_studio_of({"format": "rle", "rle": [1, 2],
         "brushlabels": ["head"]})), "too early"),
    ],
)  # fmt: skip
def test_damaged_files_are_named_and_lose_nothing_else(
    source: Path, file: str, content: str, cause: str
) -> None:
    write(source / file, content)
    found, said = read_one(source)
    assert found.ellipse is None
    assert cause in said and str(source / file) in said


def test_files_of_other_kinds_are_no_annotations(source: Path) -> None:
    write(source / "settings.json", {"shapes": "round", "regions": 3, "images": "none"})
    write(source / "readme.txt", "20 frames of 3 patients\n")
    write(source / "notes.xml", "<annotations/>")
    assert read_one(source)[1] == ""


# -- both ways ---------------------------------------------------------------------------------

FORMATS = (
    *("coco", "yolo", "labelme", "cvat", "voc", "labelstudio", "via"),
    *("png", "paper", "hc18", "hc18-submission"),
)
COARSE = ("voc", "paper", "hc18")
"""In masks and rings, a head that the border cuts is not known to half a px."""
HEADS = (
    HEAD,
    Ellipse(160, 20, 100, 70, 75),
    Ellipse(299, 118.5, 60, 50, 179.5),
    None,
)
PARTS: tuple[Part | None, ...] = ("train", "validation", "test", "train")


def export(folder: Path, format: str, *, divided: bool = True, mm_per_px: float = 0.11) -> None:
    writer = EXPORTS[format].writer(folder)
    for i, (head, part) in enumerate(zip(HEADS, PARTS, strict=True)):
        frame = ExportedFrame(
            id=f"{i}",
            name=f"frame {i}",
            cohort="c",
            subject=f"P{i // 2}",
            pixels=speckle(i),
            ellipse=head,
            calibration=Calibration(0.11, mm_per_px, "manual"),
            labels={"scanner": "X"},
            part=part if divided else None,
        )
        writer.add_frame(frame)
    pair = ExportedPair(
        "p", "synthetic_1", "c", speckle(9), HEAD, HEAD, None, {"dice": 0.9}, {"seed": 1}
    )
    if EXPORTS[format].pairs:
        writer.add_pair(pair)
    writer.finish()


@pytest.mark.parametrize("divided", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_what_is_exported_is_read_again(tmp_path: Path, format: str, divided: bool) -> None:
    export(tmp_path, format, divided=divided)
    found = read_source(tmp_path)
    assert found.problems == ()
    records = {record.name: record for record in found.records}
    assert len(records) == len(HEADS) + (format != "hc18-submission")
    for i, (head, part) in enumerate(zip(HEADS, PARTS, strict=True)):
        record = records[f"frame {i}"]
        assert (record.subject, record.part) == (f"P{i // 2}", part if divided else None)
        assert record.labels == {"scanner": "X"}
        assert record.calibration == Calibration(0.11, 0.11, "table")
        content = read_content(record)
        assert content.problems == () and content.certain
        if head is None:
            assert content.ellipse is None
        else:
            cut = format in COARSE and i > 0
            assert away(content.ellipse, head) < (1.0 if cut else 0.5)
    if format != "hc18-submission":
        content = read_content(records["synthetic_1"])
        assert content.problems == () and content.synthetic is not None
        assert away(content.ellipse, HEAD) < 0.5


@pytest.mark.parametrize("format", ["coco", "cvat", "voc", "labelstudio", "yolo"])
def test_parts_come_back_without_our_own_file(tmp_path: Path, format: str) -> None:
    export(tmp_path, format)
    (tmp_path / "provenance.json").unlink()
    records = {record.name: record for record in read_source(tmp_path).records}
    assert [records[f"frame {i}"].part for i in range(3)] == list(PARTS[:3])


def test_coco_is_read_by_its_own_library(tmp_path: Path) -> None:
    export(tmp_path, "coco")
    for i, part in enumerate(("train", "val", "test")):
        known = COCO(str(tmp_path / "annotations" / f"instances_{part}.json"))
        (annotation, *_) = known.loadAnns(known.getAnnIds())
        picture = known.loadImgs(annotation["image_id"])[0]
        assert (tmp_path / "images" / picture["file_name"]).is_file()
        head = HEADS[i]
        assert head is not None
        mask, wanted = known.annToMask(annotation), head.mask(SIZE)
        assert 2 * (mask & wanted).sum() / (mask.sum() + wanted.sum()) > 0.995
        assert abs(annotation["area"] - wanted.sum()) < 0.01 * wanted.sum()
        x, y, width, height = annotation["bbox"]
        assert x >= 0 and y >= 0 and x + width <= SIZE[0] and y + height <= SIZE[1]


def test_yolo_by_its_rules(tmp_path: Path) -> None:
    """As ultralytics reads it: every picture of a part has its label, in shares of its size."""
    export(tmp_path, "yolo")
    text = (tmp_path / "data.yaml").read_text()
    assert "train: images/train\nval: images/val\ntest: images/test\nnames:\n  0: head\n" in text
    for part in ("train", "val", "test"):
        pictures = {p.stem for p in (tmp_path / "images" / part).iterdir()}
        labels = list((tmp_path / "labels" / part).iterdir())
        assert {p.stem for p in labels} == pictures != set()
        for path in labels:
            (line,) = path.read_text().splitlines()
            cell, *values = line.split()
            shares = np.array(values, float)
            assert cell == "0" and len(shares) % 2 == 0 and len(shares) >= 6
            assert shares.min() >= 0 and shares.max() <= 1
    assert [p.stem for p in (tmp_path / "unannotated").iterdir()] == ["frame 3"]


def test_labelme_by_its_schema(tmp_path: Path) -> None:
    export(tmp_path, "labelme")
    found = json.loads((tmp_path / "train" / "frame 0.json").read_text())
    required = {"version", "imageData", "imagePath", "shapes", "flags", "imageHeight", "imageWidth"}
    assert required == found.keys()
    (shape,) = found["shapes"]
    assert {"label", "points", "shape_type", "flags", "group_id", "description", "mask"} == set(
        shape
    )
    assert (tmp_path / "train" / found["imagePath"]).is_file()


def test_voc_by_its_layout(tmp_path: Path) -> None:
    export(tmp_path, "voc")
    folder = tmp_path / "ImageSets" / "Segmentation"
    assert (folder / "val.txt").read_text() == "frame 1\n"
    assert (folder / "train.txt").read_text() == "frame 0\nsynthetic_1\n"
    with Image.open(tmp_path / "SegmentationClass" / "frame 0.png") as mask:
        assert mask.mode == "P" and (mask.getpalette() or [])[:6] == [0, 0, 0, 128, 0, 0]
        assert np.array_equal(np.asarray(mask), HEAD.mask(SIZE))


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "hc18-submission"])
def test_pixels_that_are_not_square_come_back(tmp_path: Path, format: str) -> None:
    export(tmp_path, format, mm_per_px=0.13)
    for record in read_source(tmp_path).records:
        if record.name != "synthetic_1":
            assert record.calibration == Calibration(0.11, 0.13, "table")


def test_a_submission_to_hc18(tmp_path: Path) -> None:
    export(tmp_path, "hc18-submission")
    header, first, *_ = (tmp_path / "submission.csv").read_text().splitlines()
    assert header == ("filename,center_x_mm,center_y_mm,semi_axes_a_mm,semi_axes_b_mm,angle_rad")
    name, *numbers = first.split(",")
    assert name == "frame 0.png"
    wanted = (HEAD.cx * 0.11, HEAD.cy * 0.11, HEAD.a * 0.11, HEAD.b * 0.11, math.radians(31))
    assert np.allclose(np.array(numbers, float), wanted, rtol=1e-6)
    (tmp_path / "test_set_pixel_size.csv").unlink()
    (tmp_path / "provenance.json").unlink()
    found = read_source(tmp_path)
    assert "its pixel size, so the ellipse was not used" in "\n".join(found.problems)
    assert all(record.ellipse is None for record in found.records)


def test_what_a_submission_cannot_hold_is_said(tmp_path: Path) -> None:
    writer = EXPORTS["hc18-submission"].writer(tmp_path)
    for i, calibration in enumerate((None, Calibration(0.1, 0.2, "manual"))):
        frame = ExportedFrame(f"{i}", f"f{i}", "c", "s", speckle(i), HEAD, calibration, {})
        writer.add_frame(frame)
    writer.finish()
    assert [message[:3] for message in writer.problems] == ["f0:", "f1:"]


def test_masks_never_replace_a_frame_of_their_name(tmp_path: Path) -> None:
    writer = EXPORTS["png"].writer(tmp_path)
    for i, name in enumerate(("a_mask", "a")):
        writer.add_frame(ExportedFrame(f"{i}", name, "c", "s", speckle(i), HEAD, None, {}))
    writer.finish()
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_the_lists_of_the_paper(tmp_path: Path) -> None:
    export(tmp_path, "paper")
    lists = tmp_path / "fewshot_sam"
    assert (lists / "train" / "data_2.list").read_text() == "frame 0\nsynthetic_1"
    assert (lists / "val" / "data.list").read_text() == "frame 1"
    assert (tmp_path / "mask" / "frame 2_Annotation.png").is_file()
    assert (tmp_path / "image" / "frame 2.png").is_file()


def test_damaged_run_lengths_never_end_the_program(source: Path) -> None:
    """The library of the format writes beyond its memory for most of these."""
    text = coco_mask.encode(np.asfortranarray(mask_of()))["counts"]
    rng = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(text)
        place = int(rng.integers(len(damaged)))
        damaged[place : place + int(rng.integers(3))] = rng.integers(48, 112, 3).tolist()
        coded = {"size": [SIZE[1], SIZE[0]], "counts": damaged.decode("latin-1")}
        write(source / "i.json", coco_of({"segmentation": coded}))
        (record,) = read_source(source).records
        read_content(record)
