-- What each bank account holds now: one model per account, keyed by its id.
-- Amounts are whole cents.

local function new_account()
  return { balance = 0, transaction_count = 0 }
end

local function move(account, event, cents)
  account = account or new_account()
  account.balance = account.balance + cents
  account.transaction_count = account.transaction_count + 1
  account.last_activity = event.recorded_at
  return account
end

return {
  name = "account_summary",
  version = 1, -- raise it when the models have to be built anew

  fields = {
    owner = "text",
    balance = "integer",
    transaction_count = "integer",
    last_activity = "timestamp",
  },
  indexes = { "balance", { "owner", "balance" } },

  -- A transfer concerns two accounts, unless it is to oneself.
  extract_model_id = function(event)
    local data = event.data
    if data.account_id then
      return data.account_id
    end
    if data.from_account == data.to_account then
      return data.from_account
    end
    return { data.from_account, data.to_account }
  end,

  on = {
    AccountOpened = function(account, event)
      account = account or new_account()
      account.owner = event.data.owner
      account.last_activity = event.recorded_at
      return account
    end,

    MoneyDeposited = function(account, event)
      return move(account, event, event.data.amount)
    end,

    MoneyWithdrawn = function(account, event)
      return move(account, event, -event.data.amount)
    end,

    TransferCompleted = function(account, event, id)
      local data = event.data
      local cents = 0
      if data.to_account == id then
        cents = cents + data.amount
      end
      if data.from_account == id then
        cents = cents - data.amount
      end
      return move(account, event, cents)
    end,
  },
}
