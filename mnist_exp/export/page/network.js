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

  function load(described, weights) {
    const { buffer } = bytes(weights)
    const networks = described.networks.map(one => ({ ...one, nodes: one.nodes.map(node => withWeights(node, buffer)) }))
    return { ...described, networks }
  }

  // Computes a network for an input, and stops after each layer (`yield`), so that a page can draw meanwhile. `record` is null,
  // or gets the layers to show, { name, value }, of the first network, and the features of each.
  function* run(model, index, input, record) {
    const { nodes, shown, features } = model.networks[index], values = [input]
    for (const node of nodes) {
      const inputs = node.inputs.map(place => values[place])
      if (node.kind === 'network') values.push(yield* run(model, node.network, inputs[0], node.recorded ? record : null))
      else values.push(LAYERS[node.kind](node, ...inputs))
      yield
    }
    if (record && features.length) {
      if (!record.layers.length) record.layers.push(...shown.map(({ node, name }) => ({ name, value: values[node] })))
      record.features[index] = features.map(place => values[place].data)
    }
    return values.at(-1)
  }

  // The steps of one answer for an image { height, width, channels, data }, data from 0 to 255. The last value is an array
  // of probabilities.
  function* steps(model, image, record = null) {
    const { data } = yield* run(model, model.output, { ...image, data: Float32Array.from(image.data) }, record)
    return data
  }

  // How strange an image is whose features are recorded: more than a limit, and it is not a digit. Null without a detector.
  function strangeness({ networks, detector }, { features }) {
    if (!detector) return null
    const data = Float32Array.from(detector.from.flatMap(index => features[index].flatMap(one => [...one])))
    const values = [{ height: 1, width: 1, channels: data.length, data }]
    for (const node of networks[detector.network].nodes) values.push(LAYERS[node.kind](node, values[node.inputs[0]]))
    return values.at(-1).data[0]
  }

  const newRecord = () => ({ layers: [], features: [] })

  // The probabilities of an image, at once.
  function probabilities(model, image, record = null) {
    const answer = steps(model, image, record)
    for (;;) {
      const { done, value } = answer.next()
      if (done) return value
    }
  }

  return { bytes, load, steps, probabilities, strangeness, newRecord }
})()
