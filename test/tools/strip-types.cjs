/** Jest transform: removes the types and keeps line and column numbers. */
const { transformSync } = require("amaro");

module.exports = {
  process(source) {
    return { code: transformSync(source, { mode: "strip-only" }).code };
  },
};
