/* Makes the call of the form and shows its answer. With a pasted key the browser calls the gateway itself, so that
   the key reaches nobody else; without one the portal makes the call for the person who is signed in. */
import { formToken } from "./shell.js";

const form = document.getElementById("try");
const place = (id) => document.getElementById(id);
const MOST_SHOWN = 256 * 1024;

function target() {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("[data-place]")) {
    const value = field.value.trim();
    if (field.dataset.place === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(value));
    else if (field.dataset.place === "query" && value) query.set(field.name, value);
  }
  return query.size ? `${path}?${query}` : path;
}

function headers() {
  const found = {};
  for (const field of form.querySelectorAll("[data-place=header]")) {
    if (field.value.trim()) found[field.name] = field.value.trim();
  }
  if (place("try-type")) found["Content-Type"] = place("try-type").value;
  if (place("try-accept")) found.Accept = place("try-accept").value;
  return found;
}

function body() {
  if (!place("try-body")) return undefined;
  return place("try-file").files[0] ?? place("try-body").value;
}

async function direct(key) {
  const started = performance.now();
  const sent = body();
  const reply = await fetch(target(), {
    method: form.dataset.method,
    headers: { ...headers(), Authorization: `Bearer ${key}` },
    body: sent,
    credentials: "omit",
    cache: "no-store",
  });
  const blob = await reply.blob();
  const kind = (reply.headers.get("content-type") ?? "").split(";")[0];
  const isText = !blob.size || kind.startsWith("text/") || /(json|yaml|sql)$/.test(kind);
  return {
    status: reply.status,
    headers: [...reply.headers],
    body: isText ? await blob.slice(0, MOST_SHOWN).text() : null,
    size: blob.size,
    is_cut: isText && blob.size > MOST_SHOWN,
    elapsed_ms: Math.round((performance.now() - started) * 10) / 10,
  };
}

async function throughPortal() {
  const given = Object.fromEntries(Object.entries(headers()).map(([name, value]) => [`X-Try-${name}`, value]));
  const reply = await fetch(`${form.action}?target=${encodeURIComponent(target())}`, {
    method: "POST",
    headers: { ...given, Accept: "application/json", "X-Form-Token": formToken },
    body: body() ?? "",
  });
  const answer = await reply.json();
  if (answer.sign_in) location.assign(answer.sign_in);
  if (reply.ok) return answer;
  return { status: reply.status, headers: [], body: JSON.stringify(answer), size: 0, is_cut: false, elapsed_ms: 0 };
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function show(answer) {
  const shown = place("tried-body");
  place("tried-status").textContent = answer.status || "—";
  place("tried-status").className = answer.status >= 200 && answer.status < 400 ? "good" : "bad";
  place("tried-time").textContent = answer.status ? `${answer.elapsed_ms} ms` : "";
  place("tried-size").textContent = answer.status ? `${answer.size.toLocaleString()} B` : "";
  shown.textContent = answer.body === null ? shown.dataset.file : pretty(answer.body);
  shown.hidden = answer.body === "";
  place("tried-note").textContent = answer.is_cut ? shown.dataset.cut : "";
  place("tried-headers").textContent = answer.headers.map(([name, value]) => `${name}: ${value}`).join("\n");
  place("tried").hidden = false;
  place("tried").scrollIntoView({ block: "nearest" });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  try {
    const key = place("try-key")?.value.trim();
    show(key ? await direct(key) : await throughPortal());
  } catch {
    show({ status: 0, headers: [], body: place("tried-body").dataset.lost, size: 0, is_cut: false, elapsed_ms: 0 });
  } finally {
    button.disabled = false;
  }
});

form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
