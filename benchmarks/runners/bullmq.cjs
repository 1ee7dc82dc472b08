// BullMQ's side of its adapter:  node bullmq.cjs client|worker REDIS_URL BOARD [CONCURRENCY]
'use strict';

const fs = require('fs');
const readline = require('readline');
const { setTimeout: sleep } = require('timers/promises');
const { Queue, QueueEvents, Worker } = require('bullmq');

const [role, url, boardFile, concurrency] = process.argv.slice(2);
const { hostname: host, port } = new URL(url);
const QUEUE = 'benchmark';

function connection() {
  return { host, port: Number(port), maxRetriesPerRequest: null };
}

// The board of benchmarks/board.py: columns of 64-bit integers, written as others write to their mapped memory.
function openBoard() {
  const board = fs.openSync(boardFile, 'r+');
  const slots = fs.fstatSync(board).size / 8 / 3;
  const cell = new BigInt64Array(1);
  return (column, number, value) => {
    cell[0] = value;
    fs.writeSync(board, cell, 0, 8, (column * slots + number) * 8);
  };
}

function work() {
  const note = openBoard();
  const now = () => process.hrtime.bigint();
  const run = async ({ name, data: { number, seconds } }) => {
    if (name === 'nap') {
      note(2, number, BigInt(process.pid));
      note(1, number, now());
      await sleep(seconds * 1000);
    }
    note(0, number, now());
    return number;
  };
  const worker = new Worker(QUEUE, run, { connection: connection(), concurrency: Number(concurrency) });
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => worker.close().then(() => process.exit(0)));
  }
}

function jobs(name, first, end, data) {
  return Array.from({ length: end - first }, (_, index) => ({ name, data: { number: first + index, ...data } }));
}

function serve() {
  const queue = new Queue(QUEUE, { connection: connection() });
  const events = new QueueEvents(QUEUE, { connection: connection() });
  let last;
  const actions = {
    async each(first, end) {
      for (let number = first; number < end; number++) last = await queue.add('noop', { number });
      return last.id;
    },
    bulk: (first, end) => queue.addBulk(jobs('noop', first, end)).then(() => null),
    naps: (first, end, seconds) => queue.addBulk(jobs('nap', first, end, { seconds })).then(() => null),
    result: (_id, seconds) => last.waitUntilFinished(events, seconds * 1000),
    waiting: () => queue.getWaitingCount(),
    kept: () => queue.getCompletedCount(),
  };
  const answer = (value) => process.stdout.write(JSON.stringify(value) + '\n');
  readline.createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const [action, ...words] = JSON.parse(line);
      try {
        answer({ answer: await actions[action](...words) });
      } catch (error) {
        answer({ error: String(error) });
      }
    })
    .on('close', () => Promise.all([queue.close(), events.close()]).then(() => process.exit(0)));
}

({ client: serve, worker: work })[role]();
