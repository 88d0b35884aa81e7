/** docs/errors.md, written from the table of errors: `npm run errors`. */
import { ERRORS } from "../shared/errors.ts";

export function errorPage(): string {
  const rows = Object.entries(ERRORS)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, remedy]) => `| \`${code}\` | ${remedy.replaceAll("|", "\\|")} |`);
  return `# Errors

Every error has a code, also over the wire and in \`--json\` output. This page is written by \`npm run errors\`.

| code | what to do |
| --- | --- |
${rows.join("\n")}
`;
}
