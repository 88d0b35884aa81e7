"""Writes cases.json: COCO ground truth, results, and what pycocotools 2.0.11 says of them.

    pip install numpy pycocotools==2.0.11 && python3 make-cases.py

With a seed and a type as arguments (`make-cases.py --random SEED bbox|segm`) one larger case goes to stdout instead.
"""
import contextlib, copy, io, json, os, sys
import numpy as np
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def run(truth, results, kind):
    """The twelve numbers of COCO's table, and AP and AP50 per category; -1 becomes null."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        found = coco.loadRes(copy.deepcopy(results))
        scored = COCOeval(coco, found, kind)
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    known = lambda value: None if value < 0 else float(value)
    mean = lambda values: known(np.mean(values) if np.all(values > -1) else -1)
    precision = scored.eval["precision"]
    return {
        "stats": [known(value) for value in scored.stats],
        "classAP": [mean(precision[:, :, k, 0, 2]) for k in range(precision.shape[2])],
        "classCurve50": [
            [round(float(v), 8) for v in precision[0, :, k, 0, 2]] if precision[0, 0, k, 0, 2] > -1 else []
            for k in range(precision.shape[2])
        ],
    }


def encode(mask):
    rle = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def plain_counts(mask):
    flat = mask.flatten(order="F").astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": ([0] if flat[0] else []) + counts}


def ellipse(height, width, box):
    x, y, w, h = box
    v, u = np.mgrid[0:height, 0:width]
    return ((u + 0.5 - x - w / 2) / (w / 2)) ** 2 + ((v + 0.5 - y - h / 2) / (h / 2)) ** 2 <= 1


def star(rng, box, whole):
    """A polygon with spikes inside the box, now and then beyond it."""
    x, y, w, h = box
    n = int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, n))
    radii = rng.uniform(0.4, 1.1, n)
    points = np.stack([x + w / 2 + radii * w / 2 * np.cos(angles), y + h / 2 + radii * h / 2 * np.sin(angles)], 1)
    if whole:
        points = np.round(points)
    return [round(float(v), 2) for v in points.flatten()]


def random_case(seed, kind, images=6, categories=3):
    rng = np.random.default_rng(seed)
    height, width = 200, 260
    truth = {
        # Ids neither sorted nor consecutive.
        "images": [{"id": int(i), "file_name": f"{i}.jpg", "height": height, "width": width}
                   for i in rng.permutation(np.arange(1, images + 1) * 7)],
        "categories": [{"id": int(i), "name": f"class {i}"} for i in rng.permutation(np.arange(1, categories + 2) * 3)],
        "annotations": [],
    }
    results = []
    # The last category has no object in the ground truth.
    used = sorted(category["id"] for category in truth["categories"])[:categories]
    every = sorted(category["id"] for category in truth["categories"])

    def box():
        side = rng.choice([14, 60, 195])
        w, h = rng.uniform(0.3, 1, 2) * side
        x, y = rng.uniform(0, width - w), rng.uniform(0, max(1, height - h))
        digits = int(rng.integers(0, 3))
        return [round(float(v), digits) for v in (x, y, max(w, 2), max(h, 2))]

    def region(b):
        form = rng.integers(0, 3)
        if form == 0:
            return [star(rng, b, rng.random() < 0.3) for _ in range(int(rng.integers(1, 3)))]
        mask = ellipse(height, width, b)
        return plain_counts(mask) if form == 1 else encode(mask)

    def score():
        # Coarse, so that ties occur.
        return round(float(rng.random()), int(rng.integers(1, 3)))

    for image in truth["images"]:
        for _ in range(int(rng.integers(0, 9))):
            b = box()
            # The annotated area is that of a mask, not of the box.
            area = round(b[2] * b[3] * float(rng.uniform(0.5, 1)), 2)
            crowd = int(rng.random() < 0.2)
            annotation = {"id": len(truth["annotations"]) + 1, "image_id": image["id"],
                          "category_id": int(rng.choice(used)), "bbox": b, "area": area, "iscrowd": crowd}
            if rng.random() < 0.1:
                annotation["ignore"] = 1
            if kind == "segm":
                annotation["segmentation"] = plain_counts(ellipse(height, width, b)) if crowd else region(b)
            truth["annotations"].append(annotation)
            for _ in range(int(rng.integers(0, 4))):
                near = [round(float(v), 2) for v in np.array(b) + rng.normal(0, rng.choice([0.5, 3]), 4)]
                near[2:] = [max(near[2], 1), max(near[3], 1)]
                if rng.random() < 0.1:
                    near = b
                results.append((image["id"], annotation["category_id"], near, score()))
        for _ in range(int(rng.integers(0, 4))):
            results.append((image["id"], int(rng.choice(every)), box(), score()))
    # Enough of one class in one picture to go beyond ten and a hundred detections.
    if seed % 3 == 0:
        for _ in range(110):
            results.append((truth["images"][0]["id"], used[0], box(), score()))
    found = []
    for image, category, b, s in results:
        one = {"image_id": image, "category_id": category, "score": s}
        if kind == "bbox":
            one["bbox"] = b
        else:
            one["segmentation"] = encode(ellipse(height, width, b))
        found.append(one)
    if not found:
        return random_case(seed + 1000, kind, images, categories)
    return {"name": f"random {kind} {seed}", "type": kind, "groundTruth": truth, "predictions": found}


def small(name, objects, detections, categories=(1,), kind="bbox"):
    truth = {"images": [{"id": 1, "file_name": "1.jpg", "height": 200, "width": 200}],
             "categories": [{"id": c, "name": str(c)} for c in categories],
             "annotations": [{"id": i + 1, "image_id": 1, "category_id": 1, "iscrowd": 0,
                              "area": o["bbox"][2] * o["bbox"][3], **o} for i, o in enumerate(objects)]}
    return {"name": name, "type": kind, "groundTruth": truth,
            "predictions": [{"image_id": 1, "category_id": 1, **d} for d in detections]}


def hand_made():
    box = lambda *b: {"bbox": list(b)}
    at = lambda score, *b: {"bbox": list(b), "score": score}
    yield small("perfect", [box(10, 10, 40, 40)], [at(0.9, 10, 10, 40, 40)])
    yield small("nothing but a crowd", [{**box(10, 10, 100, 100), "iscrowd": 1}], [at(0.9, 20, 20, 10, 10)])
    yield small("object preferred to the crowd around it",
                [{**box(0, 0, 120, 120), "iscrowd": 1}, box(30, 30, 40, 40)],
                [at(0.9, 30, 30, 40, 36), at(0.8, 31, 31, 20, 20), at(0.7, 150, 150, 20, 20)])
    yield small("areas at the limits of small and medium",
                [box(0, 0, 32, 32), box(50, 0, 96, 96), {**box(0, 100, 40, 40), "area": 1024.5}],
                [at(0.9, 0, 0, 32, 32), at(0.8, 50, 0, 96, 95), at(0.7, 0, 101, 32, 32), at(0.6, 100, 120, 32, 33)])
    yield small("IoU exactly at thresholds",
                [box(0, 0, 10, 10), box(20, 0, 10, 10), box(40, 0, 10, 10), box(60, 0, 10, 10)],
                [at(0.9, 0, 0, 10, 5), at(0.8, 20, 0, 10, 9), at(0.7, 40, 0, 10, 7), at(0.6, 60, 0, 10, 6)])
    hundred = [box(5 * (i % 20), 5 * (i // 20), 4, 4) for i in range(100)]
    yield small("recalls exactly at the hundredths", hundred,
                [at(round(1 - i / 300, 6), *(hundred[i // 2]["bbox"] if i % 2 == 0 else [150, 150, 9, 9]))
                 for i in range(95)])
    yield small("beyond a hundred detections", [box(0, 0, 20, 20), box(50, 50, 20, 20)],
                [at(0.9, 100 + i % 10, 100 + i // 10, 9, 9) for i in range(99)]
                + [at(0.8, 0, 0, 20, 20), at(0.7, 50, 50, 20, 20)])
    yield small("ties in score keep their order", [box(0, 0, 20, 20), box(50, 50, 20, 20)],
                [at(0.5, 100, 100, 20, 20), at(0.5, 0, 0, 20, 20), at(0.5, 120, 100, 20, 20), at(0.5, 50, 50, 20, 20)])
    yield small("boxes without area", [box(10, 10, 0, 5), box(30, 30, 10, 10)],
                [at(0.9, 10, 10, 0, 5), at(0.8, 30, 30, 10, 10)])
    yield small("an unknown category among the detections", [box(0, 0, 20, 20)],
                [at(0.5, 0, 0, 20, 20), {**at(0.9, 0, 0, 20, 20), "category_id": 99}])
    yield small("masks given as boxes", [{**box(5, 5, 30, 30), "segmentation": [[5, 5, 35, 5, 35, 35, 5, 35]]}],
                [at(0.5, 6.3, 5.1, 30, 30)], kind="segm")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--random":
        case = random_case(int(sys.argv[2]), sys.argv[3], images=25, categories=5)
        print(json.dumps({**case, **run(case["groundTruth"], case["predictions"], case["type"])}))
    else:
        cases = list(hand_made())
        cases += [random_case(seed, "bbox", images=4) for seed in range(6)]
        cases += [random_case(seed, "segm", images=2) for seed in range(1, 5)]
        written = [{**c, **run(c["groundTruth"], c["predictions"], c["type"])} for c in cases]
        polygons = []
        rng = np.random.default_rng(5)
        for i in range(40):
            b = [float(v) for v in rng.uniform([-5, -5, 1, 1], [30, 20, 25, 25])]
            corners = star(rng, b, i % 4 == 0)
            if i % 5 == 0:
                corners = corners + corners[:2]
            rle = masks.merge(masks.frPyObjects([corners], 24, 32))
            polygons.append({"corners": corners, "height": 24, "width": 32, "counts": rle["counts"].decode(),
                             "area": int(masks.area(rle)), "box": [float(v) for v in masks.toBbox(rle)]})
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.json")
        with open(path, "w") as file:
            file.write('{"madeBy": "make-cases.py, pycocotools 2.0.11",\n"cases": [\n')
            file.write(",\n".join(json.dumps(case) for case in written))
            file.write('\n],\n"polygons": [\n')
            file.write(",\n".join(json.dumps(polygon) for polygon in polygons))
            file.write("\n]}\n")
