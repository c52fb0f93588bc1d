/* Sends one file with progress; the answer says where its receipt is. */
import { formToken } from "./shell.js";

const form = document.getElementById("upload");
const box = document.getElementById("upload-progress");
const bar = box.querySelector("progress");
const line = box.querySelector("p");
const cancel = document.getElementById("upload-cancel");
const mediaTypes = JSON.parse(document.getElementById("media-types").textContent);

function stop(text) {
  line.textContent = text;
  line.className = "bad";
  cancel.hidden = true;
  form.querySelector("button[type=submit]").disabled = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const file = form.elements.file.files[0];
  box.hidden = false;
  line.className = "small ink2";
  bar.value = 0;
  const type = mediaTypes[file.name.split(".").pop().toLowerCase()];
  if (!type) return stop(line.dataset.type);
  if (file.size > Number(form.dataset.limit)) return stop(line.dataset.large);

  const request = new XMLHttpRequest();
  request.open("POST", `${form.action}?mode=${encodeURIComponent(form.elements.mode.value)}`);
  request.setRequestHeader("Content-Type", type);
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("X-Form-Token", formToken);
  request.responseType = "json";
  request.upload.onprogress = (step) => {
    bar.value = (100 * step.loaded) / step.total;
    line.textContent = `${line.dataset.sent} ${(step.loaded / 1e6).toFixed(1)} / ${(step.total / 1e6).toFixed(1)} MB`;
  };
  request.upload.onload = () => { line.textContent = line.dataset.checking; };
  request.onerror = () => stop(line.dataset.lost);
  request.onabort = () => stop("");
  request.onload = () => {
    if (request.status === 201) location.assign(request.response.location);
    else stop(`${request.response?.detail ?? line.dataset.lost} ${request.response?.code ?? ""} ${request.response?.request_id ?? ""}`);
  };
  cancel.hidden = false;
  cancel.onclick = () => request.abort();
  form.querySelector("button[type=submit]").disabled = true;
  request.send(file);
});
