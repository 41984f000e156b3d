-- Appends events until it is killed: lua5.4 spec/chaos/writer.lua URL SEED.
--
-- Each event names one or two accounts, its own number, and a type; streams
-- are the accounts.

local helper = require "spec.helper"
local lunette = require "lunette"

local url, seed = arg[1], math.tointeger(tonumber(arg[2]))
local r = helper.random(seed)
local n = 0

-- On a server the connection may be ended at any time, here too.
local engine = helper.wait(function()
  local opened, err = lunette.open { events = url, models = "memory:" }
  assert(opened or url:find "^postgres", err)
  return opened
end)

local function event()
  local from = "account-" .. r:within(1, 12)
  local accounts = { from }
  if r:chance(30) then
    accounts[2] = "account-" .. r:within(13, 24)
  end
  n = n + 1
  return {
    stream = from,
    type = r:pick { "Opened", "Moved", "Moved", "Moved", "Noise", "Closed" },
    data = { accounts = accounts, n = n },
  }
end

while true do
  local list = {}
  for i = 1, r:within(1, 20) do
    list[i] = event()
  end
  -- Whether that took events along is for the log to say.
  local position, err = engine:append(list)
  assert(position or url:find "^postgres", err)
  helper.sleep_ms(r:within(0, 30))
end
