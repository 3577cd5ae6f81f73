// What time it is for this installation. A deployment has the browser's time.

// The time now, in milliseconds since 1970.
export function now() {
  return Date.now();
}

// Shows a clock in `element`, which is hidden, where there is one to set: nowhere.
export function showClock() {}
