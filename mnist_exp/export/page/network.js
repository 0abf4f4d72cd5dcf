// The network of the page: decodes the weights, and computes the probabilities of an image step by step.
const NETWORK = (() => {
  // Base64 → bytes.
  function bytes(text) {
    const binary = atob(text), out = new Uint8Array(binary.length)
    for (let i = 0; i < out.length; i++) out[i] = binary.charCodeAt(i)
    return out
  }

  const KINDS = { int16: Int16Array, float32: Float32Array }

  // Replaces the places of weights in a node, { at: first byte, length, kind }, by the weights. A kernel has integers, and a
  // step for each row, by which they are multiplied.
  function withWeights(node, buffer) {
    const entries = Object.entries(node).map(
      ([key, entry]) => [key, entry?.kind in KINDS ? new KINDS[entry.kind](buffer, entry.at, entry.length) : entry])
    const loaded = Object.fromEntries(entries)
    if (!loaded.kernel) return loaded
    const length = loaded.kernel.length / loaded.steps.length
    return { ...loaded, kernel: Float32Array.from(loaded.kernel, (one, i) => one * loaded.steps[Math.floor(i / length)]) }
  }

  function load({ networks, output }, weights) {
    const { buffer } = bytes(weights)
    return { networks: networks.map(({ nodes, shown }) => ({ nodes: nodes.map(one => withWeights(one, buffer)), shown })), output }
  }

  // Compute a network for an input, and stop after each layer (`yield`), so that a page can draw meanwhile.
  // `record` gets the values of the layers to show; null for none.
  function* run(model, index, input, record) {
    const { nodes, shown } = model.networks[index], values = [input]
    for (const node of nodes) {
      const inputs = node.inputs.map(place => values[place])
      if (node.kind === 'network') values.push(yield* run(model, node.network, inputs[0], node.recorded ? record : null))
      else values.push(LAYERS[node.kind](node, ...inputs))
      yield
    }
    if (record) for (const { node, name } of shown) record.push({ name, value: values[node] })
    return values.at(-1)
  }

  // The steps of one answer for an image { height, width, channels, data }, data from 0 to 255; the last value is an array
  // of probabilities.
  function* steps(model, image, record = null) {
    const { data } = yield* run(model, model.output, { ...image, data: Float32Array.from(image.data) }, record)
    return data
  }

  // The probabilities of an image, at once.
  function probabilities(model, image, record = null) {
    const answer = steps(model, image, record)
    for (;;) {
      const { done, value } = answer.next()
      if (done) return value
    }
  }

  return { bytes, load, steps, probabilities }
})()
