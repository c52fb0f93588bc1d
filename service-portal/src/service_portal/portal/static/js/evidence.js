/* Uploads evidence files: <form data-evidence action=... data-limit=bytes> with one file field and a status line. */
import { formToken } from "./shell.js";

for (const form of document.querySelectorAll("form[data-evidence]")) {
  const line = form.querySelector("[role=status]");
  const button = form.querySelector("button[type=submit]");
  const stop = (text) => {
    line.textContent = text;
    line.classList.add("bad");
    button.disabled = false;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const file = form.elements.file.files[0];
    if (file.size > Number(form.dataset.limit)) return stop(line.dataset.large);
    line.classList.remove("bad");
    line.textContent = line.dataset.sending;
    button.disabled = true;
    const query = new URLSearchParams({ name: file.name });
    if (form.elements.criterion) query.set("criterion", form.elements.criterion.value);
    const headers = { "X-Form-Token": formToken, Accept: "application/json", "Content-Type": "application/octet-stream" };
    try {
      const answer = await fetch(`${form.getAttribute("action")}?${query}`, { method: "POST", headers, body: file });
      if (answer.ok) return location.reload();
      const problem = await answer.json();
      stop(`${problem.detail ?? line.dataset.lost} ${problem.code ?? ""} ${problem.request_id ?? ""}`);
    } catch {
      stop(line.dataset.lost);
    }
  });
}
