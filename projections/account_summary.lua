-- What each bank account holds now: one model per account, keyed by its id.
-- Amounts are whole cents.

local function open(account, event)
  account.owner = event.data.owner
end

local function move(account, cents)
  account.balance = account.balance + cents
  account.transaction_count = account.transaction_count + 1
end

local function transfer(account, event, id)
  local data = event.data
  local cents = data.to_account == id and data.amount or 0
  if data.from_account == id then
    cents = cents - data.amount
  end
  move(account, cents)
end

local change = {
  AccountOpened = open,
  MoneyDeposited = function(account, event)
    move(account, event.data.amount)
  end,
  MoneyWithdrawn = function(account, event)
    move(account, -event.data.amount)
  end,
  TransferCompleted = transfer,
}

return {
  name = "account_summary",
  version = 1, -- raise it when the models have to be built anew

  handles = {
    "AccountOpened",
    "MoneyDeposited",
    "MoneyWithdrawn",
    "TransferCompleted",
  },

  fields = {
    owner = "text",
    balance = "integer",
    transaction_count = "integer",
    last_activity = "timestamp",
  },
  indexes = { "balance", { "owner", "balance" } },

  extract_model_id = function(event)
    local data = event.data
    if event.type ~= "TransferCompleted" then
      return data.account_id
    end
    if data.from_account == data.to_account then
      return data.from_account
    end
    return { data.from_account, data.to_account }
  end,

  apply_to_model = function(account, event, id)
    account = account or { balance = 0, transaction_count = 0 }
    change[event.type](account, event, id)
    account.last_activity = event.recorded_at
    return account
  end,
}
