// The network of the page: decodes the weights, and computes the probabilities of an image step by step.
const NETWORK = (() => {
  // Base64 → bytes.
  function bytes(text) {
    const binary = atob(text), out = new Uint8Array(binary.length)
    for (let i = 0; i < out.length; i++) out[i] = binary.charCodeAt(i)
    return out
  }

  // The 16 bits of an IEEE half-precision number → the number.
  function fromHalf(bits) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023
    return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction
  }

  // An array of weights: { at: first byte, length, half: whether it has 16 bits a number instead of 32 }.
  function decode(buffer, { at, length, half }) {
    return half ? Float32Array.from(new Uint16Array(buffer, at, length), fromHalf) : new Float32Array(buffer, at, length)
  }

  // Replaces the places of the weights in all nodes by the weights.
  function load({ networks, output }, weights) {
    const { buffer } = bytes(weights)
    const loaded = node => Object.fromEntries(Object.entries(node).map(
      ([key, entry]) => [key, entry && entry.length >= 0 && 'half' in Object(entry) ? decode(buffer, entry) : entry]))
    return { networks: networks.map(network => ({ ...network, nodes: network.nodes.map(loaded) })), output }
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
