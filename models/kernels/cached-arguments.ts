/**
 * Reshape, Transpose and Sum of the native engine without a new shape, permutation or axis tensor for every call:
 * these are a third of all kernels of a training step, and making the tensor costs more than the kernel.
 */
import * as tf from "../engine/tf.ts";

type Replacement = (args: { inputs: tf.NamedTensorInfoMap; attrs?: tf.NamedAttrMap }) => tf.Tensor | null;

/** Puts the replacements before the engine's own kernels, which still serve what a replacement returns null for. */
export function replaceKernels(backend: string, replacements: Readonly<Record<string, Replacement>>): void {
  for (const [kernelName, replacement] of Object.entries(replacements)) {
    const own = tf.getKernel(kernelName, backend);
    tf.unregisterKernel(kernelName, backend);
    tf.registerKernel({
      ...own,
      kernelFunc: (args) => replacement(args) ?? own.kernelFunc(args),
    });
  }
}
