/** The label space of pre-training: that of generated rooms, in its order, then streets and surfaces. */
import type { Labels } from "../../shared/config/federation.ts";
import { DETECTION, SCENES, SEGMENTATION } from "../scenarios/labels.ts";

const STREET_CLASSES = [
  "sky",
  "road",
  "pavement",
  "building",
  "tree",
  "pole",
  "sign",
  "fence",
  "car",
  "bicyclist",
] as const;
const FLAWS = ["crack", "spot"] as const;

export const CLASSES = [...SEGMENTATION, ...STREET_CLASSES, ...FLAWS] as const;
export const OBJECTS = [...DETECTION, "car", "bicyclist", "sign", ...FLAWS] as const;
export const PLACES = [...SCENES, "street", "clear surface", "cracked surface", "round spot", "ragged spot"] as const;

export type ClassName = (typeof CLASSES)[number];
export type ObjectName = (typeof OBJECTS)[number];
export type PlaceName = (typeof PLACES)[number];

export const PRETRAINING_LABELS: Labels = {
  detection: [...OBJECTS],
  segmentation: [...CLASSES],
  scene: [...PLACES],
  depth: { kind: "metric" },
};
