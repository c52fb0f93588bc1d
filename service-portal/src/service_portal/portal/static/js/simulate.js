/* The form of a simulation: shows what belongs to the chosen kind of jobs, sends logs first and then the form. */
import { formToken } from "./shell.js";

const form = document.getElementById("simulate");
const kind = document.getElementById("format");
const log = document.getElementById("log");
const nodes = document.getElementById("nodes");
const state = document.getElementById("simulate-state");

function fit() {
  for (const part of form.querySelectorAll("[data-for]")) {
    const wanted = part.dataset.for;
    part.hidden = !(wanted === kind.value || (wanted === "file" && kind.value !== "platform"));
  }
  log.disabled = kind.value === "platform";
  nodes.disabled = kind.value !== "openb";
}

function field(name, value) {
  const input = Object.assign(document.createElement("input"), { type: "hidden", name, value });
  input.dataset.sent = "";
  form.append(input);
}

async function send(file, as) {
  const reply = await fetch("/simulations/logs", { method: "POST", body: file, headers: { "X-Form-Token": formToken, Accept: "application/json" } });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.detail ?? state.dataset.lost);
  field(`${as}_name`, file.name);
  field(`${as}_sha256`, answer.sha256);
}

form.addEventListener("submit", async (event) => {
  if (kind.value === "platform") return;
  event.preventDefault();
  form.querySelectorAll("[data-sent]").forEach((input) => input.remove());
  const files = [...log.files].map((file) => [file, "file"]);
  if (!files.length) { state.textContent = state.dataset.none; return; }
  if (kind.value === "openb" && !nodes.files.length) { state.textContent = state.dataset.nodes; return; }
  if (kind.value === "openb") files.push([nodes.files[0], "node"]);
  if (files.some(([file]) => file.size > Number(form.dataset.limit))) { state.textContent = state.dataset.large; return; }
  state.textContent = state.dataset.sending;
  try {
    for (const [file, as] of files) await send(file, as);
    form.submit();
  } catch (error) {
    state.textContent = error.message || state.dataset.lost;
  }
});

kind.addEventListener("change", fit);
fit();
