/* Registers a component: its files are sent one by one, then the card that names them. */
import { formToken } from "./shell.js";

const form = document.getElementById("register");
const drop = document.getElementById("drop");
const list = document.getElementById("register-files");
const state = document.getElementById("register-state");
const errors = document.getElementById("register-errors");
const input = form.elements.files;
const isCard = (file) => /\.(json|ya?ml)$/i.test(file.name);
const hex = (text) => [...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function show() {
  list.replaceChildren(...[...input.files].map((file) => {
    const item = document.createElement("li");
    item.textContent = `${isCard(file) ? list.dataset.card : list.dataset.file}: ${file.name} (${(file.size / 1e3).toFixed(1)} kB)`;
    return item;
  }));
}

function refuse(text, details = []) {
  state.textContent = "";
  const box = document.createElement("div");
  box.className = "notice bad";
  for (const line of [text, ...details]) {
    const part = document.createElement("p");
    part.textContent = line;
    box.append(part);
  }
  errors.replaceChildren(box);
  form.querySelector("button[type=submit]").disabled = false;
}

async function send(address, body, headers = {}) {
  const reply = await fetch(address, {
    method: "POST",
    body,
    headers: { Accept: "application/json", "Content-Type": "application/octet-stream", "X-Form-Token": formToken, ...headers },
  });
  const answer = await reply.json();
  if (!reply.ok) throw answer;
  return answer;
}

input.addEventListener("change", show);
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  input.files = event.dataTransfer.files;
  show();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  errors.replaceChildren();
  const files = [...input.files];
  const cards = files.filter(isCard);
  if (cards.length !== 1) return refuse(cards.length ? state.dataset.twocards : state.dataset.nocard);
  form.querySelector("button[type=submit]").disabled = true;
  try {
    const headers = {};
    for (const file of files.filter((item) => !isCard(item))) {
      state.textContent = `${state.dataset.sending} ${file.name}`;
      const made = await send("/components/register/files", file);
      headers[`X-File-${hex(file.name)}`] = `${made.sha256}:${made.size}`;
    }
    state.textContent = state.dataset.registering;
    const made = await send("/components/register/card", cards[0], headers);
    location.assign(made.location);
  } catch (problem) {
    const details = (problem.errors ?? []).map((item) => `${item.field}: ${item.reason}`);
    refuse(problem.detail ?? state.dataset.lost, [...details, [problem.code, problem.request_id].filter(Boolean).join(" ")]);
  }
});
