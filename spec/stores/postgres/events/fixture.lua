-- A database of each spec's own, and the stores and sessions that it opens,
-- which end with it. Called inside of a describe().

local busted = require "busted"
local event_store = require "event_store_test"

-- busted gives its words to spec files only.
local before_each, after_each = busted.before_each, busted.after_each

return function(server)
  local fixture = {}

  before_each(function()
    fixture.database = server:new_database()
    fixture.opened = {}
  end)

  after_each(function()
    for _, one in ipairs(fixture.opened) do
      one:close()
    end
  end)

  -- Close it at the end; nil is allowed.
  function fixture.keep(one)
    fixture.opened[#fixture.opened + 1] = one
    return one
  end

  -- The store, or nil, message, code.
  function fixture.open(query, user)
    local store, message, code =
      event_store.open(fixture.database:with(query, user))
    return fixture.keep(store), message, code
  end

  return fixture
end
