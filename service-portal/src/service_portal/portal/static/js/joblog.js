/* Follows a job: appends its log as it comes, shows its state and reason, loads the page anew at the end. */
const log = document.getElementById("job-log");
const reason = document.getElementById("job-reason");
const source = new EventSource(log.dataset.stream);

source.addEventListener("log", (event) => {
  const stays = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(JSON.parse(event.data).text);
  if (stays) log.scrollTop = log.scrollHeight;
});
source.addEventListener("state", (event) => {
  const told = JSON.parse(event.data);
  if (log.dataset.state !== told.state) location.reload();
  else reason.textContent = told.reason;
});
source.addEventListener("end", () => {
  source.close();
  location.reload();
});
