-- Every `lunette ...` in a sentence or a block of the documentation is a
-- command that there is, with options that it has.

local helper = require "spec.helper"
local lunette = require "lunette"
local pages = require "spec.docs.pages"

local code, output = helper.run { helper.lunette, "help", "--json" }
assert(code == 0)
local description = assert(lunette.decode(output))

-- The names and letters of a list of options.
local function add_options(options, list)
  for _, option in ipairs(list or {}) do
    options["--" .. (option.option or option.name)] = true
    if type(option.letter) == "string" then
      options["-" .. option.letter] = true
    end
  end
  return options
end

local commands = {}
for _, command in ipairs(description.commands) do
  commands[command.name] = add_options({}, command.options)
end
local common = add_options(
  add_options({ ["--help"] = true, ["--version"] = true },
    description.options), description.settings)

-- Nil if the words after "lunette" may be said, else what is wrong.
local function complaint(words)
  local command
  for word in words:gmatch "%S+" do
    local option = word:match "^%-%-?%a[%w-]*"
    if word:find "^[|>#&;)]" then
      break
    elseif option then
      if not common[option] and not (command and commands[command][option])
      then
        return "there is no option " .. option
      end
    elseif not command and word:find "^%l[%l_]*$" and commands[word] then
      command = word
    elseif not command and word:find "^%l+$" and not words:find "^%-" then
      return "there is no command " .. word
    end
  end
end

describe("commands in the documentation", function()
  for _, page in ipairs(pages.all()) do
    it("exist: " .. page, function()
      local function check(text)
        for words in text:gmatch "%f[%w_./-]lunette ([^\n]*)" do
          local wrong = complaint(words)
          assert(not wrong, ("lunette %s: %s"):format(words, wrong))
        end
      end
      for _, span in ipairs(pages.spans(page)) do
        if span:find "^lunette " then
          check(span)
        end
      end
      for _, block in ipairs(pages.blocks(page)) do
        if block.language == "" or block.language == "sh" then
          check((block.text:gsub("\\\n%s*", "")))
        end
      end
    end)
  end

  it("are found to be wrong", function()
    assert.equal("there is no command runn", complaint "runn --once")
    assert.equal("there is no option --onse", complaint "run --onse")
    assert.equal("there is no option --once", complaint "status --once")
    assert.is_nil(complaint "run --once -e sqlite:a.db")
    assert.is_nil(complaint "--json status")
  end)
end)
