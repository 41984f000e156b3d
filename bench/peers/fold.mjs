// The account summary in JavaScript, the same one that
// projections/account_summary.lua has. An event is { type, data, at }.

export const ids = ({ data }) =>
  data.account_id !== undefined ? [data.account_id]
    : [data.from_account, data.to_account];

const newAccount = (id) =>
  ({ id, owner: null, balance: 0, transaction_count: 0, last_activity: null });

function touch(models, id, at) {
  let model = models.get(id);
  if (model === undefined) models.set(id, (model = newAccount(id)));
  model.last_activity = at;
  return model;
}

function move(models, id, at, cents) {
  const model = touch(models, id, at);
  model.balance += cents;
  model.transaction_count += 1;
}

const handlers = {
  AccountOpened(models, { data, at }) {
    touch(models, data.account_id, at).owner = data.owner;
  },
  MoneyDeposited(models, { data, at }) {
    move(models, data.account_id, at, data.amount);
  },
  MoneyWithdrawn(models, { data, at }) {
    move(models, data.account_id, at, -data.amount);
  },
  TransferCompleted(models, { data, at }) {
    if (data.from_account === data.to_account)
      return move(models, data.from_account, at, 0);
    move(models, data.from_account, at, -data.amount);
    move(models, data.to_account, at, data.amount);
  },
};

// models: a Map by id, with the rows there are of all that the events touch.
export function fold(models, events) {
  for (const event of events) handlers[event.type](models, event);
}

// Events, seconds, events a second.
export function report(total, start) {
  const seconds = (performance.now() - start) / 1000;
  console.log(`${total} ${seconds.toFixed(3)} ${Math.round(total / seconds)}`);
}
