std = "lua54"
max_line_length = 80

files["projections"].read_globals = { "lunette" }
files["spec"].std = "lua54+busted"
files["projections/*_spec.lua"].std = "lua54+busted"
files[".busted"].std = "lua54"
