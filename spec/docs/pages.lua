-- The pages of the documentation, as specs need them: their fenced blocks and
-- the commands in their sentences.

local helper = require "spec.helper"

local pages = {}

-- Every page that a user reads.
function pages.all()
  local _, list = helper.run(
    "ls README.md CONTRIBUTING.md docs/*.md stores/*.md examples/*/*.md",
    { cwd = helper.root })
  local names = {}
  for name in list:gmatch "[^\n]+" do
    names[#names + 1] = name
  end
  return names
end

local function lines_of(page)
  return helper.read_file(helper.root .. "/" .. page):gmatch "([^\n]*)\n"
end

-- A list of { language =, text =, line = }, line being that of the fence.
function pages.blocks(page)
  local blocks, open, number = {}, nil, 0
  for line in lines_of(page) do
    number = number + 1
    local fence = line:match "^%s*```(%S*)"
    if fence and open then
      open.text = table.concat(open, "\n") .. "\n"
      blocks[#blocks + 1] = open
      open = nil
    elseif fence then
      open = { language = fence, line = number }
    elseif open then
      open[#open + 1] = line
    end
  end
  assert(not open, page .. ": a block does not end")
  return blocks
end

-- What stands between backquotes outside of the blocks. A span may go on in
-- the next line.
function pages.spans(page)
  local text, inside = {}, false
  for line in lines_of(page) do
    if line:find "^%s*```" then
      inside = not inside
    elseif not inside then
      text[#text + 1] = line
    end
  end
  local spans = {}
  for span in table.concat(text, "\n"):gmatch "`([^`]+)`" do
    spans[#spans + 1] = (span:gsub("\n", " "))
  end
  return spans
end

-- Shell commands of a block: lines joined where they end in a backslash, with
-- or without a prompt, and what is printed after each.
function pages.session(text)
  local commands = {}
  for line in text:gsub("\\\n%s*", ""):gmatch "[^\n]+" do
    local command = line:match "^%$ (.*)"
    if command then
      commands[#commands + 1] = { command = command, output = "" }
    else
      local last = commands[#commands]
      last.output = last.output .. line .. "\n"
    end
  end
  return commands
end

return pages
