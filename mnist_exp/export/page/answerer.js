// Computes answers in the page, for the last image that was asked for; others that came meanwhile are skipped. Between the
// layers of a slow network, the page has time to draw itself. `answered` gets the request with `layers`, `probabilities`,
// `strangeness` and the `milliseconds` of the computation.
function createAnswerer(model, answered) {
  const SLICE = 12 // milliseconds of computation at a time
  let waiting = null, isBusy = false

  async function compute(request) {
    const record = NETWORK.newRecord(), steps = NETWORK.steps(model, request.image, record)
    let milliseconds = 0, started = performance.now(), step = steps.next()
    while (!step.done) {
      const passed = performance.now() - started
      if (passed > SLICE) {
        milliseconds += passed
        await new Promise(resolve => setTimeout(resolve))
        started = performance.now()
      }
      step = steps.next()
    }
    const strangeness = NETWORK.strangeness(model, record)
    milliseconds += performance.now() - started
    return { ...request, layers: record.layers, probabilities: step.value, strangeness, milliseconds }
  }

  async function ask(request) {
    waiting = request
    if (isBusy) return
    isBusy = true
    while (waiting) {
      const next = waiting
      waiting = null
      answered(await compute(next))
    }
    isBusy = false
  }

  return { ask, cancel: () => { waiting = null } }
}
