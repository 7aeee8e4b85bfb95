" Settings of .moe buffers: comments, two spaces of indent, and `moec fmt` behind `gq`.
if exists("b:did_ftplugin")
  finish
endif
let b:did_ftplugin = 1

setlocal comments=:#,://
setlocal commentstring=#\ %s
setlocal expandtab shiftwidth=2 softtabstop=2
if executable("moec")
  setlocal formatprg=moec\ fmt\ -
  setlocal makeprg=moec\ validate\ %
  setlocal errorformat=%f:%l:%c:\ %trror[%m,%f:%l:%c:\ %tarning[%m,%-G%.%#
endif

let b:undo_ftplugin = "setlocal comments< commentstring< expandtab< shiftwidth< softtabstop< formatprg< makeprg< errorformat<"
