// The executors of k6 that the scripts use: when users act.

const EXECUTORS = {
  'shared-iterations': sharedIterations,
  'ramping-arrival-rate': rampingArrivalRate,
  'ramping-vus': rampingUsers,
};
const PAUSE_MS = 20;

/** Plays a scenario to its end; `user` makes a user with a number. */
export async function play(scenario, data, samples, user) {
  const known = EXECUTORS[scenario.executor];
  if (!known) throw new Error(`the stand-in does not know the executor ${scenario.executor}`);
  const count = scenario.vus ?? scenario.preAllocatedVUs ?? Math.max(...scenario.stages.map((stage) => stage.target));
  const users = Array.from({ length: count }, (_, i) => user(i + 1));
  await Promise.all(users.map((one) => one.ready));
  await known(scenario, data, users, samples);
}

async function sharedIterations({ iterations }, data, users) {
  let iteration = 0;
  await Promise.all(
    users.map(async (user) => {
      while (iteration < iterations) {
        const mine = iteration;
        iteration += 1;
        await user.call('default', data, mine);
      }
    }),
  );
}

async function rampingArrivalRate({ startRate, stages }, data, users, samples) {
  const idle = [...users];
  const busy = new Set();
  const began = Date.now();
  const length_s = stages.reduce((sum, stage) => sum + seconds(stage.duration), 0);
  let iteration = 0;
  for (let now_s = 0; now_s < length_s; now_s = (Date.now() - began) / 1000) {
    for (const due = arrivals(startRate, stages, now_s); iteration < due; iteration += 1) {
      const user = idle.pop();
      if (user === undefined) {
        samples.add([{ metric: 'dropped_iterations', type: 'counter', value: 1, tags: {} }]);
        continue;
      }
      const done = user.call('default', data, iteration).then(() => {
        busy.delete(done);
        idle.push(user);
      });
      busy.add(done);
    }
    await Promise.race([new Promise((wake) => setTimeout(wake, 5)), failureOf(busy)]);
  }
  await Promise.all(busy);
}

async function rampingUsers({ startVUs, stages }, data, users) {
  const began = Date.now();
  const now_s = () => (Date.now() - began) / 1000;
  const length_s = stages.reduce((sum, stage) => sum + seconds(stage.duration), 0);
  let iteration = 0;
  await Promise.all(
    users.map(async (user, index) => {
      while (now_s() < length_s) {
        if (index < wanted(startVUs, stages, now_s())) {
          iteration += 1;
          await user.call('default', data, iteration - 1);
        } else {
          await new Promise((wake) => setTimeout(wake, PAUSE_MS));
        }
      }
    }),
  );
}

/** How many users are wanted after a time, when their number goes from target to target in straight lines. */
function wanted(startVUs, stages, now_s) {
  let [users, left_s] = [startVUs, now_s];
  for (const { target, duration } of stages) {
    const length_s = seconds(duration);
    if (left_s < length_s) return users + ((target - users) * left_s) / length_s;
    [users, left_s] = [target, left_s - length_s];
  }
  return users;
}

/** Never ends, but fails as soon as one of these does. */
function failureOf(calls) {
  return new Promise((_, failed) => calls.forEach((call) => call.catch(failed)));
}

/** How many have arrived after a time at a rate that goes from target to target in straight lines. */
function arrivals(startRate, stages, now_s) {
  let [sum, rate, left_s] = [0, startRate, now_s];
  for (const { target, duration } of stages) {
    const length_s = seconds(duration);
    const spent_s = Math.min(left_s, length_s);
    const reached = length_s > 0 ? rate + ((target - rate) * spent_s) / length_s : target;
    sum += ((rate + reached) / 2) * spent_s;
    [rate, left_s] = [target, left_s - spent_s];
    if (left_s <= 0) break;
  }
  return Math.floor(sum);
}

function seconds(duration) {
  const [, amount] = /^([0-9.]+)s$/.exec(duration);
  return Number(amount);
}
