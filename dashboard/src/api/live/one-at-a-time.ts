/** Acts that take longer than the time between two changes. */

/**
 * Returns an act that never runs twice at once: calls in the meantime make it run once more at its end. A slow server is
 * thus asked as often as it answers, and its last answer is newer than the last change.
 */
export function oneAtATime(act: () => unknown): () => void {
  let isRunning = false;
  let isAsked = false;
  const run = () => {
    if (isRunning) {
      isAsked = true;
      return;
    }
    isRunning = true;
    const ended = () => {
      isRunning = false;
      if (!isAsked) return;
      isAsked = false;
      run();
    };
    // Errors are those of the queries, which show them.
    void new Promise((resolve) => {
      resolve(act());
    }).then(ended, ended);
  };
  return run;
}
