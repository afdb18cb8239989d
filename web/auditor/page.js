// Shows what verify.js finds, as soon as both files are chosen.
import { verifyLog } from "./verify.js";

const [evidence, network, outcome] = ["evidence", "network", "outcome"].map((id) => document.getElementById(id));
for (const input of [evidence, network]) input.addEventListener("change", check);

async function check() {
  if (!evidence.files.length || !network.files.length) return;
  try {
    const [file, { log }] = await Promise.all([evidence, network].map(async (each) => JSON.parse(await each.files[0].text())));
    show(await verifyLog(file, log));
  } catch (error) {
    show({ findings: [{ where: "file", what: error.message }] });
  }
}

function show({ records, checkpoint, findings }) {
  const good = findings.length === 0;
  const lines = findings.map(({ where, what }) => element("li", `${where}: ${what}`));
  const detail = good ? element("pre", checkpoint) : element("ul", ...lines);
  const told = good ? `The log holds all ${records} records, signed and witnessed, under this checkpoint:` : "Refused:";
  outcome.className = good ? "good" : "bad";
  outcome.replaceChildren(element("p", told), detail);
  outcome.hidden = false;
}

function element(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}
