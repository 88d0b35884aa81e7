/** Writes docs/errors.md. */
import { fileURLToPath } from "node:url";
import { writeFileDurably } from "../shared/node/files.ts";
import { errorPage } from "./error-page.ts";

await writeFileDurably(fileURLToPath(new URL("../../docs/errors.md", import.meta.url)), errorPage());
