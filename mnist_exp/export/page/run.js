// Node.js runs the script of a page: node run.js PAGE. Standard input has the number of images, uint32, and their bytes, again
// and again; standard output gets the number of classes, uint32, and the probabilities, float32. Numbers are little-endian.
const { readFileSync, readSync, writeSync } = require('node:fs')
const { runInThisContext } = require('node:vm')

const scripts = [...readFileSync(process.argv[2], 'utf8').matchAll(/<script([^>]*)>([^]*?)<\/script>/g)]
const content = JSON.parse(scripts.find(([, attributes]) => attributes.includes('id="page"'))[2])
runInThisContext(scripts.find(([, attributes]) => !attributes)[2])
const NETWORK = runInThisContext('NETWORK'), model = NETWORK.load(content.network, content.weights)
const [height, width, channels] = content.shape, classes = content.names.length

// Returns the next bytes, or null at the end.
function read(count) {
  const bytes = new Uint8Array(count)
  for (let got = 0; got < count;) {
    const more = readSync(0, bytes, got, count - got)
    if (!more) return null
    got += more
  }
  return bytes
}

function write(array) {
  const bytes = new Uint8Array(array.buffer)
  for (let sent = 0; sent < bytes.length;) sent += writeSync(1, bytes, sent)
}

write(Uint32Array.of(classes))
for (let head; (head = read(4));) {
  const count = new DataView(head.buffer).getUint32(0, true), size = height * width * channels, images = read(count * size)
  const result = new Float32Array(count * classes)
  for (let i = 0; i < count; i++) {
    const image = { height, width, channels, data: images.subarray(i * size, (i + 1) * size) }
    result.set(NETWORK.probabilities(model, image), i * classes)
  }
  write(result)
}
