// Loaded first in a process that must not outlive the one that started it (`node --import`). A parent that was killed
// outright cannot pass anything on, and an orphan would keep the port.
const parent = process.ppid;
// Four looks a second: a restart right after a kill finds the port free within its own start-up time.
const watch = setInterval(() => {
  if (process.ppid === parent) return;
  clearInterval(watch);
  // Not SIGTERM: what is killed outright does not drain. The server dies of it, the launcher still stops the database.
  process.kill(process.pid, "SIGHUP");
}, 250);
watch.unref();
