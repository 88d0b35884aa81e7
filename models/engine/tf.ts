/**
 * The one door to TensorFlow.js: all model code imports tensors from here, so that it runs unchanged on every engine
 * and in a browser. Which backend answers is decided once per process by `loadEngine` (models/engine/node/load.ts).
 */
export * from "@tensorflow/tfjs";
