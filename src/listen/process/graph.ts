import { HearthcamError } from '../../core/errors.ts';

/*
 * Slots of the tables of TensorFlow Lite's schema (schema.fbs, version 3) that are followed here. All their fields have
 * four bytes: numbers, or offsets to what lies behind them.
 */
const MODEL = { slots: 8, numbers: [0], codes: 1, graphs: 2 };
const GRAPH = { slots: 6, numbers: [5], tensors: 0, outputs: 2, operators: 3 };
const TENSOR = { shape: 0, name: 3 };
const OPERATOR = { code: 0, inputs: 1, outputs: 2 };
const CODE = { deprecated: 0, builtin: 3 };
const DEQUANTIZE = 6;
const FRONT_BYTES = 16_384;
/** Weights are aligned so, and must stay so. */
const ALIGNMENT = 16;

/**
 * The model with one more output: the quantised tensor of this name, which the graph computes anyway, as numbers.
 * YAMNet's last layer tells 521 classes from the 1,024 numbers before it (its "embedding"); the cry detector draws
 * conclusions of its own from them. The file is a FlatBuffer, in which offsets lead forward only: so a new beginning
 * (model, graph, lists of tensors and operators) is put in front of the file, and leads to all that is in it.
 * @throws HearthcamError `listen.model` if there is no such tensor
 */
export function withOutput(file: Buffer, tensorName: string): Buffer {
  try {
    return extend(file, tensorName);
  } catch (error) {
    throw new HearthcamError('listen.model', "the model file can't be used: its graph is not that of YAMNet", {
      cause: error,
      hint: 'use the official yamnet.tflite',
    });
  }
}

function extend(file: Buffer, tensorName: string): Buffer {
  const front = Buffer.alloc(FRONT_BYTES);
  const whole = Buffer.concat([front, file]);
  const model = FRONT_BYTES + file.readUInt32LE(0);
  const graphs = vector(whole, model, MODEL.graphs);
  const graph = target(whole, graphs.at);
  const tensors = vector(whole, graph, GRAPH.tensors);
  const wanted = positions(whole, tensors).findIndex((tensor) => nameOf(whole, tensor) === tensorName);
  const tensor = positions(whole, tensors)[wanted];
  if (tensor === undefined) throw new RangeError(`it has no tensor ${tensorName}`);
  const codes = positions(whole, vector(whole, model, MODEL.codes));
  const dequantize = codes.findIndex((code) => builtinOf(whole, code) === DEQUANTIZE);
  if (dequantize < 0) throw new RangeError('it has no operator that makes numbers of quantised ones');

  const writer = new FrontWriter(whole);
  const newModel = writer.copyTable(model, MODEL.slots, MODEL.numbers);
  whole.writeUInt32LE(newModel, 0);
  whole.write('TFL3', 4, 'latin1');
  const newGraphs = writer.list([0]);
  writer.refer(newModel, MODEL.graphs, newGraphs);
  const newGraph = writer.copyTable(graph, GRAPH.slots, GRAPH.numbers);
  whole.writeUInt32LE(newGraph - (newGraphs + 4), newGraphs + 4);
  const outputs = vector(whole, graph, GRAPH.outputs);
  const operators = positions(whole, vector(whole, graph, GRAPH.operators));
  writer.refer(newGraph, GRAPH.outputs, writer.list([...numbers(whole, outputs), tensors.length]));
  // Lists lead forward: they come before the tables that they name.
  const tensorList = writer.list([...positions(whole, tensors), 0]);
  const operatorList = writer.list([...operators, 0]);
  writer.refer(newGraph, GRAPH.tensors, tensorList);
  writer.refer(newGraph, GRAPH.operators, operatorList);
  // Type float32 and no weights: both are what a missing field means.
  const newTensor = writer.table(
    new Map([
      [TENSOR.shape, 0],
      [TENSOR.name, 0],
    ]),
  );
  writer.refer(newTensor, TENSOR.name, writer.text('hearthcam/output'));
  writer.refer(newTensor, TENSOR.shape, vector(whole, tensor, TENSOR.shape).at - 4);
  const newOperator = writer.table(
    new Map([
      [OPERATOR.code, dequantize],
      [OPERATOR.inputs, 0],
      [OPERATOR.outputs, 0],
    ]),
  );
  writer.refer(newOperator, OPERATOR.inputs, writer.list([wanted]));
  writer.refer(newOperator, OPERATOR.outputs, writer.list([tensors.length]));
  writer.fill(tensorList, [...positions(whole, tensors), newTensor]);
  writer.fill(operatorList, [...operators, newOperator]);
  return whole;
}

interface Vector {
  /** Of the first element. */
  readonly at: number;
  readonly length: number;
}

function target(file: Buffer, at: number): number {
  return at + file.readUInt32LE(at);
}

/** Where a field of a table lies, or 0: a table begins with the distance back to the list of its fields. */
function fieldOf(file: Buffer, table: number, slot: number): number {
  const fields = table - file.readInt32LE(table);
  const entry = 4 + 2 * slot;
  const offset = entry < file.readUInt16LE(fields) ? file.readUInt16LE(fields + entry) : 0;
  return offset === 0 ? 0 : table + offset;
}

function vector(file: Buffer, table: number, slot: number): Vector {
  const field = fieldOf(file, table, slot);
  if (field === 0) throw new RangeError(`a table has no field ${slot}`);
  const start = target(file, field);
  return { at: start + 4, length: file.readUInt32LE(start) };
}

function numbers(file: Buffer, { at, length }: Vector): number[] {
  return Array.from({ length }, (_, index) => file.readUInt32LE(at + 4 * index));
}

/** Of the tables in a list. */
function positions(file: Buffer, { at, length }: Vector): number[] {
  return Array.from({ length }, (_, index) => target(file, at + 4 * index));
}

function nameOf(file: Buffer, tensor: number): string {
  const { at, length } = vector(file, tensor, TENSOR.name);
  return file.toString('utf8', at, at + length);
}

/** The newer field has room for all codes, older files use only the other. */
function builtinOf(file: Buffer, code: number): number {
  const newer = fieldOf(file, code, CODE.builtin);
  const older = fieldOf(file, code, CODE.deprecated);
  return Math.max(newer === 0 ? 0 : file.readInt32LE(newer), older === 0 ? 0 : file.readInt8(older));
}

/** Writes tables and lists one behind the other into the free bytes at the beginning of a file. */
class FrontWriter {
  readonly #file: Buffer;
  #at = ALIGNMENT;

  constructor(file: Buffer) {
    this.#file = file;
  }

  /** @returns position of a table with these fields of four bytes */
  table(fields: ReadonlyMap<number, number>): number {
    const slots = Math.max(...fields.keys()) + 1;
    const listBytes = 4 + 2 * slots;
    const list = this.#take(listBytes);
    const table = this.#take(4 + 4 * fields.size);
    this.#file.writeUInt16LE(listBytes, list);
    this.#file.writeUInt16LE(4 + 4 * fields.size, list + 2);
    this.#file.writeInt32LE(table - list, table);
    let at = 4;
    for (const [slot, value] of fields) {
      this.#file.writeUInt16LE(at, list + 4 + 2 * slot);
      this.#file.writeUInt32LE(value, table + at);
      at += 4;
    }
    return table;
  }

  /** A table with the same fields as another, which leads to the same things. */
  copyTable(from: number, slots: number, numberSlots: readonly number[]): number {
    const present = Array.from({ length: slots }, (_, slot) => [slot, fieldOf(this.#file, from, slot)] as const).filter(
      ([, field]) => field !== 0,
    );
    const table = this.table(new Map(present.map(([slot, field]) => [slot, this.#file.readUInt32LE(field)])));
    for (const [slot, field] of present) {
      if (!numberSlots.includes(slot)) this.refer(table, slot, target(this.#file, field));
    }
    return table;
  }

  refer(table: number, slot: number, to: number): void {
    const field = fieldOf(this.#file, table, slot);
    this.#file.writeUInt32LE(to - field, field);
  }

  list(values: readonly number[]): number {
    const start = this.#take(4 + 4 * values.length);
    this.#file.writeUInt32LE(values.length, start);
    for (const [index, value] of values.entries()) this.#file.writeUInt32LE(value, start + 4 + 4 * index);
    return start;
  }

  /** Lets the elements of a list lead to these tables. */
  fill(list: number, tables: readonly number[]): void {
    for (const [index, table] of tables.entries()) {
      const at = list + 4 + 4 * index;
      this.#file.writeUInt32LE(table - at, at);
    }
  }

  text(text: string): number {
    const start = this.#take(4 + text.length + 1);
    this.#file.writeUInt32LE(text.length, start);
    this.#file.write(text, start + 4, 'latin1');
    return start;
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at = Math.ceil((at + bytes) / 4) * 4;
    if (this.#at > FRONT_BYTES) throw new RangeError('its graph is larger than expected');
    return at;
  }
}
