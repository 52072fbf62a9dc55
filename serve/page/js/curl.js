// The chosen dub as commands for a shell. The token itself is never part of them.
import { address } from "./api.js";
import { token } from "./token.js";

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// In curl's -F, a file name with `;`, `,` or `"` must stand in double quotes of its own.
const file = (name) => (/[;,"\\]/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name);

export function curlCommands({ video, speech }, options, references) {
  const header = token() ? ` \\\n  -H "Authorization: Bearer $TOKEN"` : "";
  const fields = [`-F ${quote(`video=@${file(video?.name ?? "talk.mp4")}`)}`];
  fields.push(`-F ${quote(`speech=@${file(speech?.name ?? "speech.wav")}`)}`);
  for (const { name, file: { name: own } } of references) {
    const other = name === own ? "" : `;filename=${name}`;
    fields.push(`-F ${quote(`reference=@${file(own)}${other}`)}`);
  }
  fields.push(`--form-string ${quote(`options=${JSON.stringify(options)}`)}`);
  return [
    "# start; the answer holds the id of the job",
    `curl -fsS ${quote(address("v1/dubs"))}${header} \\\n  ${fields.join(" \\\n  ")}`,
    "",
    "# follow, then fetch the video",
    `curl -fsSN ${quote(`${address("v1/dubs")}/`)}"$ID"/events${header}`,
    `curl -fsS ${quote(`${address("v1/dubs")}/`)}"$ID"/video -o dubbed.mp4${header}`,
  ].join("\n");
}
