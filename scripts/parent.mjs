// Preloaded (`node --import`) into a process that must not outlive its parent. A SIGKILLed parent
// cannot forward anything, and an orphan would keep the port.
const parent = process.ppid;
// Four checks a second: a restart right after a kill finds the port free in time.
const watch = setInterval(() => {
  if (process.ppid === parent) return;
  clearInterval(watch);
  // Not SIGTERM: a SIGKILL does not drain. The server dies of SIGHUP; the launcher still stops the
  // database.
  process.kill(process.pid, "SIGHUP");
}, 250);
watch.unref();
