-- A busted output handler: the usual one, and besides one line for each
-- outcome ("passed", "failed", "pending") appended to the file named by
-- LUNETTE_TALLY as it happens, so that a crash does not lose the count.

local term = require "term"

return function(options)
  local busted = require "busted"
  local kind = term.isatty(io.stdout) and "utfTerminal" or "plainTerminal"
  local handler = require("busted.outputHandlers." .. kind)(options)
  local words = {
    success = "passed",
    failure = "failed",
    error = "failed",
    pending = "pending",
  }

  local path = os.getenv "LUNETTE_TALLY"
  if not path then
    return handler
  end
  local file = assert(io.open(path, "a"))
  file:setvbuf "line"

  local function ended(_, _, status)
    file:write(words[status], "\n")
    return nil, true
  end

  -- Something outside of any test broke: a file, a setup, a teardown.
  local function broken(element)
    if element.descriptor ~= "it" then
      file:write "failed\n"
    end
    return nil, true
  end

  busted.subscribe({ "test", "end" }, ended)
  busted.subscribe({ "error" }, broken)
  busted.subscribe({ "failure" }, broken)
  return handler
end
