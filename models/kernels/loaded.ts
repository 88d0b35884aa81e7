/** The kernels of the engine that is loaded. */
import type { Kernels } from "./kernels.ts";
import { nativeKernels } from "./native.ts";
import { portableKernels } from "./portable.ts";

export function kernels(): Kernels {
  return nativeKernels() ?? portableKernels;
}
